import { userInfo } from 'node:os'
import { join, relative } from 'node:path'
import { AuthorFault } from '../author/opa.ts'
import { formatFindings } from '../config/findings.ts'
import { parseConfig } from '../config/load.ts'
import { lookForAws } from '../init/aws.ts'
import { accountFolder, InitFault, lookForIdentity, type Setup } from '../init/identity.ts'
import { sdks, usedSdks } from '../init/sdks.ts'
import { agentEnvText, configText, ignoreText, type InitPlan } from '../init/texts.ts'
import {
  compile,
  compiledFiles,
  compilerOf,
  refuseTaken,
  schemaFile,
  starterFiles,
  TakenFault,
  writeFiles,
  type InitFile,
} from '../init/write.ts'
import { isTrustDomain, isWorkloadId } from '../identify/spiffe-id.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

const setups: readonly Setup[] = ['laptop', 'spire', 'kubernetes']

const usage = `usage: countersign init [FOLDER] [--setup ${setups.join('|')}] [--sdk NAME…] [--agent ID] [--trust-domain NAME] [--owner WHO] [--dry-run]

Looks at the variables of SDKs, for a SPIFFE Workload API and for the files of a Kubernetes service account, and writes into FOLDER
(default: countersign) what fits: countersign.yaml, rules with tests and recorded cases (the starter first-agent), and agent.env with
the variables that lead the SDKs through. Asks nothing. What it wrote passes countersign check, and starts as it stands; keys stay in
the variables they were found in. With opa at hand the rules are compiled and signed and judge at once, else the default policy does.

  --setup NAME          whose identities to take (default: a Workload API, else a service account, else none: laptop)
  --sdk NAME            write a route for this SDK although no variable shows it: ${sdks.map(({ name }) => name).join(', ')}
  --agent ID            SPIFFE ID of the agent (default: what the Workload API or the service account says, else spiffe://NAME/agent)
  --trust-domain NAME   (default: of the identity that was found)
  --owner WHO           who answers for the agent (default: the user of this machine)
  --port PORT           where agents connect (default: 7420); the admin port is one more, the health port three
  --service-account DIR the files of the account (default: ${accountFolder})
  --dry-run             write nothing: print countersign.yaml and agent.env
  --force               write anew what is there

example:
  countersign init && countersign start --config countersign/countersign.yaml

exit status: 0, 64 wrong usage, 69 a Workload API or account is there and cannot be used, 78 a file is there already`

/** `countersign init`: from nothing to a configuration that starts. */
export const init: Command = {
  usage,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      setup: { type: 'string' },
      sdk: { type: 'string', multiple: true },
      agent: { type: 'string' },
      'trust-domain': { type: 'string' },
      owner: { type: 'string' },
      port: { type: 'string', default: '7420' },
      'service-account': { type: 'string', default: accountFolder },
      'dry-run': { type: 'boolean' },
      force: { type: 'boolean' },
    })
    const [folder = 'countersign', ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('init takes one folder')
    const asked = values.sdk ?? []
    const stray = asked.find((name) => !sdks.some((sdk) => sdk.name === name))
    if (stray !== undefined) throw new UsageFault(`no SDK "${stray}": ${sdks.map(({ name }) => name).join(', ')}`)
    const wish = wishOf(values)
    const port = portOf(values.port)
    try {
      const identity = await lookForIdentity({ env: invocation.env, account: values['service-account'], ...wish })
      const { plan: aws, remark } = lookForAws(invocation.env, identity.setup)
      if (remark !== null) invocation.stderr.write(`${remark}\n`)
      const plan = {
        identity,
        aws,
        sdks: usedSdks(invocation.env, asked, `http://127.0.0.1:${port}`),
        owner: values.owner ?? userInfo().username,
        port,
        schema: relative(folder, schemaFile),
      }
      return put(folder, plan, { dry: values['dry-run'] === true, force: values.force === true }, invocation)
    } catch (error) {
      if (!(error instanceof InitFault) && !(error instanceof AuthorFault)) throw error
      invocation.stderr.write(`countersign init: ${error.message}\n`)
      return error instanceof InitFault && !(error instanceof TakenFault) ? exit.unavailable : exit.config
    }
  },
}

/** What was said of identity. Throws UsageFault. */
function wishOf(values: {
  readonly setup?: string | undefined
  readonly agent?: string | undefined
  readonly 'trust-domain'?: string | undefined
}): {
  readonly setup: Setup | null
  readonly agent: string | null
  readonly trustDomain: string | null
} {
  const { setup, agent = null, 'trust-domain': trustDomain = null } = values
  const known = setups.find((name) => name === setup) ?? null
  if (setup !== undefined && known === null) throw new UsageFault(`--setup takes ${setups.join(', ')}`)
  if (agent !== null && !isWorkloadId(agent)) throw new UsageFault(`"${agent}" is not the SPIFFE ID of a workload`)
  if (trustDomain !== null && !isTrustDomain(trustDomain)) throw new UsageFault(`"${trustDomain}" is no trust domain name`)
  return { setup: known, agent, trustDomain }
}

function portOf(word: string): number {
  const port = Number(word)
  if (!/^\d+$/.test(word) || port < 1 || port > 65_532) throw new UsageFault('--port takes a number from 1 to 65532')
  return port
}

/** Everything is made and checked before the first file is written. */
function put(
  folder: string,
  made: Omit<InitPlan, 'compiled'>,
  { dry, force }: { readonly dry: boolean; readonly force: boolean },
  { env, stdout, stderr }: Invocation,
): number {
  const opa = compilerOf(env)
  const plan = { ...made, compiled: opa !== null }
  const files = filesOf(plan)
  const [config = { bytes: '' }, agentEnv = { bytes: '' }] = files
  const { findings } = parseConfig(String(config.bytes), join(folder, 'countersign.yaml'), env)
  if (dry) {
    stdout.write(`${String(config.bytes)}\n${String(agentEnv.bytes)}`)
    return exit.ok
  }
  const paths = [...files.map(({ path }) => path), ...(opa === null ? [] : compiledFiles)]
  if (!force) refuseTaken(folder, paths)
  writeFiles(folder, files)
  if (opa !== null) compile(folder, opa)
  stdout.write(`${paths.map((path) => join(folder, path)).join('\n')}\n`)
  stderr.write(
    `${formatFindings(
      join(folder, 'countersign.yaml'),
      findings.filter(({ severity }) => severity === 'warning'),
    )}${tell(folder, plan)}\n`,
  )
  return exit.ok
}

/** The configuration and the variables first. */
function filesOf(plan: InitPlan): readonly InitFile[] {
  const texts = { 'countersign.yaml': configText(plan), 'agent.env': agentEnvText(plan), '.gitignore': ignoreText, ...plan.identity.files }
  return [...Object.entries(texts).map(([path, bytes]) => ({ path, bytes, mode: 0o644 })), ...starterFiles('first-agent')]
}

/** What was found, and what to do next. */
function tell(folder: string, { identity, sdks: used, compiled }: InitPlan): string {
  const found = used.map(({ sdk, key }) => `${sdk.title}${key === null ? '' : `, its key in ${key}`}`)
  const unset = used.flatMap(({ key }) => key ?? [])
  return [
    `setup: ${identity.setup}; agent ${identity.agent}`,
    `SDKs: ${found.length === 0 ? 'none is shown by a variable; add one with --sdk' : found.join('; ')}`,
    `policy: ${compiled ? 'the starter first-agent, compiled and signed' : 'the default policy, for there is no opa; policy/ waits: README.md'}`,
    `next: countersign start --config ${join(folder, 'countersign.yaml')}${unset.length === 0 ? '' : ` (with ${unset.join(', ')} set)`}`,
    `then: run the agent with the variables of ${join(folder, 'agent.env')}`,
  ].join('\n')
}
