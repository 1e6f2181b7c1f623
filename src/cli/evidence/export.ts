import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { exportSet } from '../../evidence/export-set.ts'
import { EvidenceFault } from '../../evidence/fault.ts'
import { readManifest } from '../../evidence/manifest.ts'
import { readEnvelope, type EvidenceSigner } from '../../evidence/envelope.ts'
import { shippedRules } from '../../evidence/rules.ts'
import { noteSigner } from '../../record/checkpoint.ts'
import { readVerifierKey } from '../../record/note.ts'
import { readTar } from '../../decide/bundle/tar.ts'
import type { SetFiles } from '../../evidence/read-set.ts'
import { adminOptions, adminUsage, askAdmin, findAdmin } from '../admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { placeOf, writeSet } from './output.ts'

/** `countersign evidence export`: all that was recorded of a task, signed. */
export const exportEvidence: Command = {
  usage: `usage: countersign evidence export TASK [--out PATH|-] [--format dir|tar]
       countersign evidence export TASK --ledger DIR --signing-key FILE [--out PATH|-] [--format dir|tar]

Everything that was recorded of a task and of the tasks under it, with the proof that each line is in the ledger, and a report for
people. A running Countersign makes and signs it, and writes down that it did; where none runs, --ledger reads the folder.
A task that has not ended is exported as far as it went.

  --out PATH         a folder, or an archive when it ends with .tar (default: TASK.evidence); - for an archive on standard output
  --format dir|tar   which of the two
  --as NAME          who you are, for the ledger and the set (default: the USER variable)
  --ledger DIR       a ledger folder that no Countersign runs on
  --signing-key FILE its private key (PEM)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, { ...adminOptions, ...words })
    const [task, ...rest] = positionals
    if (task === undefined || rest.length > 0) throw new UsageFault('give one task')
    const place = placeOf(values.out ?? `${task}.evidence`, values.format)
    const by = values.as ?? invocation.env['USER'] ?? 'unknown'
    const { ledger, 'signing-key': key } = values
    if ((ledger === undefined) !== (key === undefined)) throw new UsageFault('--ledger and --signing-key go together')
    try {
      const { files, notes } =
        ledger === undefined || key === undefined ? await asked(task, by, values, invocation) : await own(task, by, ledger, key)
      writeSet(files, place, madeAt(files), invocation.stdout)
      for (const note of notes) invocation.stderr.write(`${note}\n`)
      if (place.path !== null) invocation.stdout.write(`${place.path}\n`)
      return exit.ok
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error
      invocation.stderr.write(`countersign evidence export: ${error.message}\n`)
      return exit.findings
    }
  },
}

const words = {
  out: { type: 'string' },
  format: { type: 'string' },
  as: { type: 'string' },
  ledger: { type: 'string' },
  'signing-key': { type: 'string' },
} as const

interface Got {
  readonly files: SetFiles
  readonly notes: readonly string[]
}

/** From a running Countersign, which says in a header what is not in it. */
async function asked(task: string, by: string, values: Parameters<typeof findAdmin>[0], { env }: Invocation): Promise<Got> {
  const access = await findAdmin(values, env)
  const answer = await askAdmin(access, 'GET', `/v1/evidence/${encodeURIComponent(task)}?by=${encodeURIComponent(by)}`)
  const pieces: Buffer[] = []
  for await (const piece of answer) pieces.push(Buffer.from(piece))
  const notes = String(answer.headers['countersign-evidence-notes'] ?? '')
  return { files: readTar(Buffer.concat(pieces)), notes: notes === '' ? [] : notes.split('; ') }
}

async function own(task: string, by: string, dir: string, keyFile: string): Promise<Got> {
  return exportSet({
    dir,
    task,
    by: `person:${by}`,
    signer: signerOf(dir, keyFile),
    now: Date.now(),
    rulesOf: shippedRules(),
    most: Infinity,
  })
}

/** The key of the folder. Throws UsageFault for any other. */
function signerOf(dir: string, file: string): EvidenceSigner {
  try {
    const key = createPrivateKey(readFileSync(file))
    const keys = readFileSync(join(dir, 'ledger.pub'), 'utf8').trim().split('\n')
    const { name } = readVerifierKey(keys.at(-1) ?? '')
    const { verifierKey } = noteSigner(name, key)
    if (!keys.includes(verifierKey)) throw new Error(`it is not the key of ${dir}`)
    return { verifierKey, sign: (bytes) => sign(null, bytes, key) }
  } catch (error) {
    throw new UsageFault(`the signing key: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The time in the manifest: an archive is the same whoever writes it. */
function madeAt(files: SetFiles): number {
  const envelope = readEnvelope(files.get('manifest.json') ?? new Uint8Array())
  const manifest = envelope === null ? null : readManifest(envelope.payload)
  if (manifest === null) throw new EvidenceFault('input', 'what came back is no evidence set')
  return Date.parse(manifest.made) || 0
}
