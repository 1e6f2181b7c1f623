/** The part of the page where people open tasks: choose the agent, say with what, see what will be opened, open it. */
import { randomBytes } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import type { TaskRow } from '../state/state.ts'
import { notLive, type Agent, type AgentRegistry } from '../task/agents.ts'
import type { Tasks } from '../task/tasks.ts'
import type { Answer } from './answer.ts'
import { blank, faultOf, readForm, type FormFault, type Offered, type Read } from './asked-task.ts'
import { choosePage, confirmPage, formPage } from './open-html.ts'
import { openTask, registered, unregistered } from './tasks.ts'
import { lineOf, need, redirect, type Part, type Visit } from './visit.ts'

export interface OpenPartOptions {
  readonly tasks: Tasks
  /** Of the configuration in force. */
  readonly agents: () => AgentRegistry
  readonly catalogue: () => readonly Offered[]
  /** Epoch ms. */
  readonly clock: () => number
}

/** Openings that may be pressed twice; the oldest is forgotten. */
const mostOpened = 500

/** `/tasks/open`. */
export function openPart(options: OpenPartOptions): Part {
  /** Button of a session → the task that it opens. */
  const opened = new Map<string, Promise<TaskRow>>()
  return async (visit) => {
    if (visit.path !== '/tasks/open') return null
    need(visit, 'tasks.open')
    const { form, query } = visit
    const id = (form ?? query).get('agent')
    if (id === null) return choose(visit, options, null)
    const agent = options.agents().agents.find((one) => one.id === id)
    if (agent === undefined) return choose(visit, options, `${unregistered}: choose one`)
    const why = notLive(agent, options.clock())
    if (why !== null) return choose(visit, options, `no task can be opened: ${why}`)
    if (form === null) return formPage({ agent, catalogue: options.catalogue(), form: blank(agent), faults: [], status: 200 }, visit.shell)
    return step(visit, form, agent, { options, opened })
  }
}

interface Desk {
  readonly options: OpenPartOptions
  readonly opened: Map<string, Promise<TaskRow>>
}

async function step(visit: Visit, form: URLSearchParams, agent: Agent, { options, opened }: Desk): Promise<Answer> {
  const { shell } = visit
  const again = (faults: readonly FormFault[], status: number): Answer =>
    formPage({ agent, catalogue: options.catalogue(), form, faults, status }, shell)
  if (form.get('step') === 'change') return again([], 200)
  const { asked, reason, faults } = readForm(form, agent)
  const caller = agent.id.endsWith('*') ? lineOf(form, 'caller') : agent.id
  const stranger: FormFault = { field: 'caller', message: `this is no workload of ${agent.id}: write its whole SPIFFE ID, without *` }
  const found = registered(caller, options.agents()) === agent ? faults : [stranger, ...faults]
  if (found.length > 0) return again([...found, ...alsoWrong(found, () => options.tasks.narrowed(asked, agent), asked)], 400)
  try {
    const { intent, ttl } = options.tasks.narrowed(asked, agent)
    const once = form.get('once') ?? ''
    if (form.get('step') !== 'open' || !/^[\w-]{22}$/.test(once))
      return confirmPage({ agent, form }, { caller, intent, ttl, reason, once: randomBytes(16).toString('base64url') }, shell)
    const words = { by: shell.name, reason: reason.slice(0, 500), method: visit.who.method }
    const row = await pressed(opened, `${shell.csrf} ${once}`, () => openTask(caller, asked, words, options))
    visit.tell(`The task is open. Give its id to the agent: ${row.id}`)
    return redirect(`/tasks/${row.id}`)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return again(faultsOf(error, asked), error.status)
  }
}

/** What else is wrong, so that all of it is said at once: of the fields that nothing is said of yet. */
function alsoWrong(found: readonly FormFault[], look: () => unknown, asked: Read['asked']): readonly FormFault[] {
  try {
    look()
    return []
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const said = new Set(found.map(({ field }) => field))
    return error.reasons.map((reason) => faultOf(reason, asked)).filter(({ field }) => field !== null && !said.has(field))
  }
}

/** One press opens; another of the same button comes to the same task. What failed may be pressed again. */
function pressed(opened: Desk['opened'], button: string, open: () => Promise<TaskRow>): Promise<TaskRow> {
  const before = opened.get(button)
  if (before !== undefined) return before
  const opening = open()
  opened.set(button, opening)
  opening.catch(() => opened.delete(button))
  const [oldest] = opened.keys()
  if (opened.size > mostOpened && oldest !== undefined) opened.delete(oldest)
  return opening
}

/** What to do about each kind of refusal, where its reasons do not say it. */
const advice: Readonly<Partial<Record<Refusal['code'], string>>> = {
  'decide.denied': 'Policy refuses it as it is asked: ask for less, or change the policy',
  'approve.required': 'Policy wants another person to say yes: look under Approvals',
  'task.agent-not-live': 'The agent is not live: countersign agents show says why',
  'listen.overloaded': 'Too many tasks of this agent are open: end one of them first',
  'record.failed': 'The ledger cannot be written, so nothing is opened: see the log of Countersign',
}

function faultsOf({ code, title, reasons, approval }: Refusal, asked: Read['asked']): readonly FormFault[] {
  const own = reasons.map((reason) => faultOf(reason, asked))
  if (own.some(({ field }) => field !== null)) return own
  const what = advice[code] ?? title
  return [{ field: null, message: approval === null ? what : `${what} (${approval.id})` }, ...own]
}

function choose({ shell }: Visit, { agents, clock }: OpenPartOptions, note: string | null): Answer {
  const now = clock()
  const choices = agents().agents.map((agent) => ({ agent, why: notLive(agent, now) }))
  return choosePage(
    choices.toSorted((a, b) => Number(a.why !== null) - Number(b.why !== null)),
    shell,
    note,
  )
}
