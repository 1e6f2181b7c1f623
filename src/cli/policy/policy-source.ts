import { openCandidate, type BuiltPolicy, type Candidate } from '../../author/candidate.ts'
import { withoutSetting } from '../../author/catalogue.ts'
import type { Invocation } from '../command.ts'

/** Options of every verb that opens a policy. */
export const policyOptions = { settings: { type: 'string' } } as const

export const policyUsage = `  --settings FILE  a configuration: the policy gets its decide.settings, as in production (default: the one of --config, else none)`

interface Values {
  readonly settings?: string | undefined
  readonly config?: string | undefined
}

const year = 365 * 24 * 3_600_000

/** Opens a policy with the settings that the options name. Throws AuthorFault, BundleFault or ConfigFault. */
export async function openNamed(word: string | BuiltPolicy, values: Values, { env }: Pick<Invocation, 'env'>): Promise<Candidate> {
  return openCandidate(word, env, await settingsOf(values, env))
}

/**
 * The policy that the configuration of the options has in force: the bundle that was kept last, else what lies at its path. The
 * default where it names none, or there is none. Throws AuthorFault when a server's bundle was never kept, or cannot be read.
 */
export async function policyInForce({ config, settings }: Values, env: Invocation['env']): Promise<string | BuiltPolicy> {
  const file = config ?? settings
  if (file === undefined) return 'default'
  const { loadConfig } = await import('../../config/load.ts')
  const { policyWord } = await import('../../policy-desk.ts')
  return policyWord(loadConfig(file, env))
}

/** The settings that the options name, as policy reads them; undefined when they name none. Throws ConfigFault. */
export async function settingsOf(values: Values, env: Invocation['env']): Promise<Readonly<Record<string, unknown>> | undefined> {
  const file = values.settings ?? values.config
  if (file === undefined) return undefined
  const { loadConfig } = await import('../../config/load.ts')
  const { policyData } = await import('../../config/policy-data.ts')
  const { settings } = loadConfig(file, env).config.decide
  // a record goes back in time, and so must its zones
  return settings === undefined ? undefined : policyData(settings, Date.now() - year)
}

/** Says of rules that spoke in the record and are off here why that is. */
export function offNote({ catalogue, settings }: Candidate, gone: readonly string[], { stderr }: Pick<Invocation, 'stderr'>): void {
  const off = withoutSetting(catalogue, settings, gone)
  if (off.length > 0) stderr.write(`${off.join(', ')}: off without decide.settings; give the configuration with --settings\n`)
}
