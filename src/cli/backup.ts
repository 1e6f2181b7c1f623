import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import { listSegments } from '../record/segment.ts'
import { adminOptions, adminUsage, askAdmin, findAdmin, saysWho } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

/** `countersign backup FOLDER`: state and ledger of a running Countersign. */
export const backup: Command = {
  usage: `usage: countersign backup FOLDER --config FILE --reason TEXT [--as NAME]

Copies the state of a running Countersign as it is at one moment, then its ledger, into FOLDER, which must not be there yet, or be empty.
No call waits for it but for the moment of the copy. The keys are not in it: keep those apart. How to restore: docs/backup.md

  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are, for the ledger (default: the USER variable)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, { ...adminOptions, reason: { type: 'string' }, as: { type: 'string' } })
    const [folder, ...rest] = positionals
    if (folder === undefined || rest.length > 0) throw new UsageFault('give one folder')
    const { config: file, reason } = values
    if (file === undefined) throw new UsageFault('give --config FILE: it says where the ledger is')
    if (reason === undefined || reason.trim() === '') throw new UsageFault('give --reason TEXT')
    if (existsSync(folder) && readdirSync(folder).length > 0) throw new UsageFault(`${folder} is there and not empty`)
    const loaded = loadConfig(file, invocation.env)
    const by = saysWho(values, invocation.env) ? {} : { by: values.as ?? invocation.env['USER'] ?? 'unknown' }
    const answer = await askAdmin(await findAdmin(values, invocation.env), 'POST', '/v1/backup', { body: { reason, ...by } })
    const pieces: Buffer[] = []
    for await (const piece of answer) pieces.push(Buffer.from(piece))
    // the state first: what it has done stands in the ledger by then
    const { task, record } = loaded.config
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(join(folder, basename(task.state.path)), Buffer.concat(pieces), { mode: 0o600 })
    const copied = copyLedger(resolve(loaded.folder, record.ledger.path), join(folder, basename(record.ledger.path)))
    tell(folder, copied, invocation)
    return exit.ok
  },
}

/** Segments grow at their end alone, so one after the other is the ledger up to some line; the last of them may end within one. */
function copyLedger(from: string, to: string): number {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  const done = new Set<string>()
  for (;;) {
    const next = listSegments(from).filter(({ path }) => !done.has(path))
    if (next.length === 0) break
    for (const { path } of next) {
      copyFileSync(path, join(to, basename(path)))
      done.add(path)
    }
  }
  // the public key does not change without a restart
  copyFileSync(join(from, 'ledger.pub'), join(to, 'ledger.pub'))
  return done.size
}

function tell(folder: string, segments: number, { stdout, stderr }: Invocation): void {
  stdout.write(`${folder}\n`)
  stderr.write(`the state and ${segments} segment${segments === 1 ? '' : 's'} of the ledger; no keys\n`)
  stderr.write(`next: countersign evidence verify ${join(folder, 'ledger')} --key FILE, a copy of ledger.pub that you trust\n`)
}
