import { readFileSync } from 'node:fs'
import { checkAgent } from '../config/agents-from.ts'
import { ConfigFault } from '../config/findings.ts'
import { adminOptions, adminUsage, askJson, findAdmin, saysWho, type AccessOptions, type AdminAccess } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

interface AgentView {
  readonly id: string
  readonly lifecycle: string
  readonly purpose: string
  readonly source: string
  readonly live: boolean
  readonly why: string | null
  readonly missing: readonly string[]
}

interface Values extends AccessOptions {
  readonly role?: string | undefined
  readonly reason?: string | undefined
  readonly as?: string | undefined
}

/** `countersign agents`: who may call, who answers for them, and the hand on it. */
export const agents: Command = {
  usage: `usage: countersign agents ls
       countersign agents show AGENT
       countersign agents propose FILE --reason TEXT [--as NAME]
       countersign agents accept AGENT --role business|security|incident --as NAME --reason TEXT
       countersign agents suspend|retire AGENT --reason TEXT [--as NAME]
       countersign agents resume AGENT --as NAME --reason TEXT
       countersign agents review [AGENT] …          what it was allowed, used and could do without: agents review --help

AGENT is a SPIFFE ID or pattern as it is registered. FILE is YAML in the form of an entry of task.agents (docs/registry.md).
A proposed agent goes live when its business, its security and its incident owner have accepted it; an agent that the
configuration or a reviewed file declares counts as accepted. Suspending refuses its calls and ends what it has open, until a
named person resumes it; retiring ends it for good. Both hold for declared agents too, and survive restarts.

  --role ROLE      the owner who accepts; a name accepts for a second role only where one owner is named for both
  --reason TEXT    why; it stands in the ledger
  --as NAME        who you are, for the ledger (default for propose, suspend and retire: the USER variable)
  -o text|json     how answers are printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 a file cannot be used`,
  async usageOf([verb]) {
    return verb === 'review' ? (await import('./agents-review.ts')).agentsReview.usage : null
  },
  async run(invocation) {
    const [first, ...args] = invocation.args
    if (first === 'review') return (await import('./agents-review.ts')).agentsReview.run({ ...invocation, args })
    const { values, positionals } = parseWords(invocation.args, {
      ...adminOptions,
      role: { type: 'string' },
      reason: { type: 'string' },
      as: { type: 'string' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [verb, name, ...rest] = positionals
    if (rest.length > 0) throw new UsageFault('too many arguments')
    if (values.output !== 'text' && values.output !== 'json') throw new UsageFault('-o takes text or json')
    const json = values.output === 'json'
    if (verb !== 'ls' && name === undefined) throw new UsageFault('give ls, or a verb and an agent')
    if (verb === 'ls' && name !== undefined) throw new UsageFault('ls takes no agent')
    const ask = asking(verb, name ?? '', values, invocation)
    const access = await findAdmin(values, invocation.env)
    return verb === 'ls' ? list(access, json, invocation) : print(await ask(access), json || verb === 'show', invocation)
  },
}

/** What is asked of the admin API, with everything that can be wrong about it found before anybody is asked. */
function asking(verb: string | undefined, name: string, values: Values, invocation: Invocation): (access: AdminAccess) => Promise<unknown> {
  const path = `/v1/agents/${encodeURIComponent(name)}`
  switch (verb) {
    case 'ls':
    case 'show':
      return (access) => askJson(access, 'GET', path)
    case 'propose': {
      const body = { ...words(verb, values, invocation), registration: registrationIn(name, invocation) }
      return (access) => askJson(access, 'POST', '/v1/agents', body)
    }
    case 'accept': {
      if (values.role === undefined) throw new UsageFault('accept needs --role business, security or incident')
      const body = { ...words(verb, values, invocation), role: values.role }
      return (access) => askJson(access, 'POST', `${path}/accept`, body)
    }
    case 'suspend':
    case 'resume':
    case 'retire': {
      const body = words(verb, values, invocation)
      return (access) => askJson(access, 'POST', `${path}/${verb}`, body)
    }
    default:
      throw new UsageFault(`no verb "${verb ?? ''}"`)
  }
}

/** What gives an agent more is never signed by a variable that happens to be set. */
function words(verb: string, values: Values, { env }: Invocation): { readonly reason: string; readonly by?: string } {
  const { reason, as: name } = values
  if (reason === undefined) throw new UsageFault(`${verb} needs --reason`)
  if (saysWho(values, env)) return { reason }
  if (name === undefined && (verb === 'accept' || verb === 'resume')) throw new UsageFault(`${verb} needs --as with your name`)
  return { reason, by: name ?? env['USER'] ?? 'unknown' }
}

/** Throws ConfigFault with every finding of the file. */
function registrationIn(file: string, { env }: Invocation): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageFault(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const { declared, findings } = checkAgent(text, env, file)
  if (findings.length > 0) throw new ConfigFault(file, findings)
  return declared
}

async function list(access: AdminAccess, json: boolean, { stdout }: Invocation): Promise<number> {
  const answer = await askJson(access, 'GET', '/v1/agents')
  const views = isAgentList(answer) ? answer.agents : []
  if (json) stdout.write(`${JSON.stringify(views, null, 2)}\n`)
  else for (const view of views) stdout.write(`${row(view)}\n`)
  return exit.ok
}

function print(answer: unknown, json: boolean, { stdout }: Invocation): number {
  stdout.write(json || !isAgent(answer) ? `${JSON.stringify(answer, null, 2)}\n` : `${row(answer)}\n`)
  return exit.ok
}

function row({ id, lifecycle, purpose, source, live, why, missing }: AgentView): string {
  const waits = missing.length === 0 ? '' : `  waits for ${missing.join(', ')}`
  const note = live || lifecycle !== 'live' ? waits : `  not live: ${why ?? ''}`
  return `${lifecycle.padEnd(9)}  ${id}  ${source}  ${purpose}${note}`.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}

function isAgent(value: unknown): value is AgentView {
  return value !== null && typeof value === 'object' && 'id' in value && 'lifecycle' in value && 'missing' in value
}

function isAgentList(value: unknown): value is { readonly agents: readonly AgentView[] } {
  return value !== null && typeof value === 'object' && 'agents' in value && Array.isArray(value.agents)
}
