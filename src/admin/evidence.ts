/** Evidence sets as people fetch them. */
import { EvidenceFault } from '../evidence/fault.ts'
import type { ExportedSet } from '../evidence/export-set.ts'
import { writeTar } from '../evidence/tar.ts'
import { problem, type Answer } from './answer.ts'
import type { Noun, SignedIn } from './noun.ts'
import type { Evidence } from './task-page.ts'

export interface EvidenceOptions {
  /** Writes down that it is exported, then makes it. Rejects with EvidenceFault, or `record.failed`. */
  readonly make: (task: string, by: string, method: SignedIn['method']) => Promise<ExportedSet>
}

const statuses: Readonly<Record<EvidenceFault['why'], number>> = { unknown: 404, input: 400, large: 413, damaged: 409 }

/** The set of a task as one file, for a person of the page; null: there is nothing of this task. */
export function evidenceFile({ make }: EvidenceOptions): Evidence {
  return async (task, who) => {
    try {
      const { files, manifest } = await make(task, `person:${who.name ?? who.method}`, who.method)
      return { name: `${task}.evidence.tar`, bytes: writeTar(files, Date.parse(manifest.made)), type: 'application/x-tar' }
    } catch (error) {
      if (error instanceof EvidenceFault && error.why === 'unknown') return null
      throw error
    }
  }
}

/** `/v1/evidence/<task>`: GET gives the set as an archive. `?by` says who, where the way in proves nobody. */
export function evidenceNoun({ make }: EvidenceOptions): Noun {
  // one at a time: each reads the whole ledger
  let last: Promise<unknown> = Promise.resolve()
  return async ({ method, path: [task, ...rest], query, who }) => {
    if (method !== 'GET' || task === undefined || rest.length > 0) return null
    const by = who.name ?? query.get('by')
    if (by === null || by.trim() === '') return problem(400, 'say who you are: ?by=NAME')
    const made = last.then(async () => archive(make, task, by.slice(0, 200), who.method))
    last = made.catch(() => undefined)
    return made
  }
}

async function archive(make: EvidenceOptions['make'], task: string, by: string, method: SignedIn['method']): Promise<Answer> {
  try {
    const { files, manifest, notes } = await make(task, `person:${by}`, method)
    const headers = {
      'content-disposition': `attachment; filename="${task}.evidence.tar"`,
      ...(notes.length === 0 ? {} : { 'countersign-evidence-notes': notes.join('; ') }),
    }
    return { status: 200, bytes: writeTar(files, Date.parse(manifest.made)), type: 'application/x-tar', headers }
  } catch (error) {
    if (error instanceof EvidenceFault) return problem(statuses[error.why], error.message)
    throw error
  }
}
