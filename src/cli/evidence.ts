import { UsageFault, type Command } from './command.ts'
import type { ListedCommand } from './commands.ts'

/** What can be done with the record of tasks. Their files are read when they are called for. */
const verbs: readonly ListedCommand[] = [
  {
    name: 'export',
    summary: 'all that was recorded of a task, signed, with a report',
    load: async () => (await import('./evidence/export.ts')).exportEvidence,
  },
  {
    name: 'merge',
    summary: 'sets of work that ran through several Countersigns, as one',
    load: async () => (await import('./evidence/merge.ts')).mergeEvidence,
  },
  {
    name: 'verify',
    summary: 'prove a ledger or an evidence set whole with nothing but public keys',
    load: async () => (await import('./evidence/verify.ts')).verify,
  },
  {
    name: 'rotate-key',
    summary: 'make the next signing key of a ledger',
    load: async () => (await import('./evidence/rotate-key.ts')).rotateKey,
  },
]

const width = Math.max(...verbs.map(({ name }) => name.length))

/** `countersign evidence`: proof of what was done. */
export const evidence: Command = {
  usage: `usage: countersign evidence VERB

${verbs.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

countersign evidence VERB --help tells more of each.`,
  async usageOf([name]) {
    return (await verbs.find((verb) => verb.name === name)?.load())?.usage ?? null
  },
  async run(invocation) {
    const [name, ...args] = invocation.args
    const verb = verbs.find((one) => one.name === name)
    if (verb === undefined) throw new UsageFault(name === undefined ? 'give a verb' : `no verb "${name}"`)
    return (await verb.load()).run({ ...invocation, args })
  },
}
