import { sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportSet, type ExportedSet, type ExportOptions } from '../../src/evidence/export-set.ts'
import { LedgerWriter, writerKey, type WriterKey } from './ledger-writer.ts'

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** An id of this kind, the same for the same number. */
export function idOf(letter: string, number: number): string {
  const tail = [Math.floor(number / 1024) % 32, Math.floor(number / 32) % 32, number % 32].map((at) => digits[at]).join('')
  return `${letter}_01M80RX95BMCTFC66G6WANY${tail}`
}

export const [task, child, grandchild, stranger, above] = [1, 2, 3, 4, 5].map((number) => idOf('t', number)) as [
  string,
  string,
  string,
  string,
  string,
]
export const agent = 'spiffe://acme.example/ns/test/sa/agent'
export const trace = '4bf92f3577b34da6a3ce929d0e0e4736'

/** A ledger that is written line by line, from the format's page alone. */
export class Story {
  readonly writer: LedgerWriter
  #calls = 0

  constructor(name = 'ledger.acme.example/one', key: WriterKey = writerKey(name)) {
    this.writer = new LedgerWriter(name, key)
    this.writer.segment()
  }

  opened(id: string, detail: Readonly<Record<string, unknown>> = {}): number {
    const of = {
      purpose: 'refund order 1042',
      tools: ['crm.*'],
      resources: ['*'],
      data: ['internal'],
      egress: ['internal'],
      budget: { calls: 20 },
    }
    return this.writer.event('task.opened', { ...of, root: 'user:u-7', revision: 'r-1', ...detail }, { task: id, caller: agent, by: agent })
  }

  ended(id: string, detail: Readonly<Record<string, unknown>> = { cause: 'completed by the agent' }, how = 'completed'): number {
    return this.writer.event(`task.${how}`, detail, { task: id, caller: agent, by: agent })
  }

  /** A call that was let through and answered; gives its id. */
  call(id: string, own: Readonly<Record<string, unknown>> = {}, end: Readonly<Record<string, unknown>> | null = {}): string {
    const call = idOf('c', ++this.#calls)
    const who = { task: id, caller: agent, root: 'user:u-7', tool: 'crm.order.read', downstream: 'crm.acme.example', route: 'crm' }
    this.writer.decision(call, { ...who, agent, effect: 'allow', rules: [], controls: [], ...own })
    const root = own['root'] ?? who.root
    if (end !== null) this.writer.outcome(call, { ...who, root, bytes_in: 11, bytes_out: 0, duration_ms: 3.25, lease: null, ...end })
    return call
  }

  refused(id: string, own: Readonly<Record<string, unknown>> = {}): number {
    const who = {
      task: id,
      caller: agent,
      root: 'user:u-7',
      tool: 'mail.send',
      effect: 'deny',
      rules: ['intent.tool'],
      controls: ['ASI01'],
    }
    return this.writer.refusal({ ...who, code: 'decide.denied', ...own })
  }
}

/** A refund with a child, a credential, a person's answer and a refusal, among calls of others. */
export function refund(story = new Story()): Story {
  const { writer } = story
  writer.event('policy.activated', { revision: 'r-1', sha256: 'ab'.repeat(32), signed_by: null })
  story.opened(stranger)
  story.opened(task, { correlation: { traceId: trace, transaction: null } })
  story.call(stranger)
  story.call(task)
  const lease = idOf('l', 1)
  writer.event(
    'lease.issued',
    { id: lease, provider: 'crm', revocation: 'issuer', expires: writer.now + 60_000, call: idOf('c', 2) },
    { task },
  )
  story.opened(child, { parent: task, purpose: 'look up order 1042' })
  writer.segment()
  story.call(child)
  story.refused(child)
  const approval = idOf('a', 1)
  const about = { task, caller: agent }
  writer.event('approval.opened', { approval, tool: 'pay.refund', approvers: [], quorum: 1 }, { ...about, by: agent })
  writer.event(
    'approval.answered',
    { approval, verdict: 'approve', reason: 'it was returned', method: 'oidc' },
    { ...about, by: 'person:ada' },
  )
  writer.event('approval.approved', { approval, by: ['person:ada'] }, { ...about, by: 'person:ada' })
  story.call(task, { tool: 'pay.refund', approval, approved_by: ['person:ada'] })
  story.call(stranger)
  story.ended(child, { cause: `its parent ${task} was completed`, parent: task }, 'revoked')
  story.ended(task)
  writer.event('lease.revoked', { id: lease, cause: 'completed', took: 16, revocation: 'issuer' }, { task })
  writer.checkpoint()
  return story
}

/** Exports out of a folder that is gone afterwards. */
export async function exported({ writer }: Story, more: Partial<ExportOptions> = {}): Promise<ExportedSet> {
  const dir = mkdtempSync(join(tmpdir(), 'evidence-'))
  const { key, text } = writer.key
  try {
    writer.save(dir)
    return await exportSet({
      dir,
      task,
      by: 'person:ada',
      now: writer.now,
      signer: { verifierKey: text, sign: (bytes) => sign(null, bytes, key) },
      rulesOf: (revision) => ({ revision, rules: [] }),
      most: Infinity,
      ...more,
    })
  } finally {
    rmSync(dir, { recursive: true })
  }
}
