import { BundleFault } from '../decide/bundle/fault.ts'
import { AuthorFault, OpaMissing } from '../author/opa.ts'
import { exit, UsageFault, type Command } from './command.ts'
import type { ListedCommand } from './commands.ts'

/** The verbs, in the order of a day's work. Their files are read when they are called for. */
export const policyVerbs: readonly ListedCommand[] = [
  { name: 'init', summary: 'a folder to start from', load: async () => (await import('./policy/init.ts')).init },
  {
    name: 'build',
    summary: 'compile Rego to a bundle that the sidecar takes',
    load: async () => (await import('./policy/build.ts')).build,
  },
  { name: 'lint', summary: 'check Rego source, all problems at once', load: async () => (await import('./policy/lint.ts')).lint },
  {
    name: 'test',
    summary: 'run recorded cases through the host of production',
    load: async () => (await import('./policy/test.ts')).test,
  },
  {
    name: 'explain',
    summary: 'why a call was decided so, and what would have made it an allow',
    load: async () => (await import('./policy/explain.ts')).explain,
  },
  {
    name: 'simulate',
    summary: 'what a policy would have decided otherwise',
    load: async () => (await import('./policy/simulate.ts')).simulate,
  },
  { name: 'diff', summary: 'what differs between two policies', load: async () => (await import('./policy/diff.ts')).diff },
  {
    name: 'learn',
    summary: 'a least-privilege draft from what tasks really did',
    load: async () => (await import('./policy/learn.ts')).learn,
  },
  {
    name: 'coverage',
    summary: 'how much is enforced, the riskiest first',
    load: async () => (await import('./policy/coverage.ts')).coverage,
  },
  {
    name: 'record-case',
    summary: 'make a case of a recorded decision',
    load: async () => (await import('./policy/record-case.ts')).recordCase,
  },
]

const width = Math.max(...policyVerbs.map(({ name }) => name.length))

/** `countersign policy`: the loop of whoever writes policy. */
export const policy: Command = {
  usage: `usage: countersign policy VERB

${policyVerbs.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')}

countersign policy VERB --help tells more of each. A policy is a bundle file, a folder, or the word default. A folder of Rego source
needs the compiler opa; a built bundle does not.`,
  async usageOf([name]) {
    return (await policyVerbs.find((verb) => verb.name === name)?.load())?.usage ?? null
  },
  async run(invocation) {
    const [name, ...args] = invocation.args
    if (name === undefined) throw new UsageFault('give a verb')
    const listed = policyVerbs.find((verb) => verb.name === name)
    if (listed === undefined) throw new UsageFault(`no verb "${name}"`)
    const verb = await listed.load()
    try {
      return await verb.run({ ...invocation, args })
    } catch (error) {
      if (!(error instanceof AuthorFault) && !(error instanceof BundleFault)) throw error
      invocation.stderr.write(`countersign policy ${name}: ${error.message}\n`)
      return error instanceof OpaMissing ? exit.unavailable : exit.config
    }
  },
}
