import { UsageFault, type Command } from './command.ts'
import type { ListedCommand } from './commands.ts'

/** What can be done with the record of tasks. Their files are read when they are called for. */
const verbs: readonly ListedCommand[] = [
  {
    name: 'verify',
    summary: 'prove a ledger whole with nothing but its public key',
    load: async () => (await import('./evidence/verify.ts')).verify,
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
