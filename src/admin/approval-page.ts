/** The part of the page where people see what is asked, and answer it. */
import { ApprovalFault } from '../approve/fault.ts'
import type { Kills } from '../kill/kills.ts'
import type { ApprovalRow } from '../state/approvals.ts'
import type { Answer } from './answer.ts'
import type { Lent, Load } from './answer-html.ts'
import { approvalPage, listPage, type Reader, type Typed } from './approval-html.ts'
import { objectiveIn } from './approvals.ts'
import { statusOf, verbs, type Desk, type Verb } from './desk.ts'
import type { Overview } from './overview.ts'
import { shortName } from './page-shell.ts'
import { allows } from './roles.ts'
import { lineOf, need, redirect, type Part, type Visit } from './visit.ts'

export interface ApprovalPartOptions {
  readonly desk: Desk
  readonly kills: Pick<Kills, 'engage'>
  readonly overview: () => Promise<Overview>
  /** What a call of this tool and route would be lent. */
  readonly lent: (row: ApprovalRow) => Lent | null
  /** Epoch ms. */
  readonly clock: () => number
}

const done: Readonly<Record<Verb, string>> = {
  approve: 'You have approved it.',
  decline: 'You have declined it.',
  withdraw: 'You have taken it back.',
  'break-glass': 'You have broken the glass. Everybody is told.',
}
const lately = 3_600_000

/** `/` and `/approvals/<id>`. */
export function approvalPart(options: ApprovalPartOptions): Part {
  return async (visit) => {
    const { path, form, shell } = visit
    const id = /^\/approvals\/([^/]+)$/.exec(path)?.[1]
    if (id === undefined && path !== '/') return null
    const { desk, overview, clock } = options
    if (form !== null && id !== undefined)
      return form.get('verb') === 'report' ? report(id, form, visit, options) : answer(id, form, visit, options)
    need(visit, 'approvals.read')
    if (id === undefined) return listPage(await desk.list({}), await overview(), shell, clock())
    return shown(await desk.read(id), visit, options, null)
  }
}

async function shown(row: ApprovalRow, { who, shell }: Visit, options: ApprovalPartOptions, typed: Typed | null): Promise<Answer> {
  const { desk, lent, clock } = options
  const now = clock()
  const load = loadOf(await desk.list({}), `person:${who.name ?? shell.name}`, now)
  const reader: Reader = { who, shell, mayBreak: desk.mayBreak(who), barred: desk.bars(who), lent: lent(row), load, now }
  return approvalPage(row, reader, typed)
}

/** What somebody answered within the last hour. */
function loadOf(rows: readonly ApprovalRow[], by: string, now: number): Load {
  const own = rows.flatMap(({ answers }) => answers.filter((one) => one.by === by && one.at > now - lately))
  return { answered: own.length, approved: own.filter(({ verdict }) => verdict === 'approve').length }
}

async function answer(id: string, form: URLSearchParams, visit: Visit, options: ApprovalPartOptions): Promise<Answer> {
  const { desk } = options
  const verb = verbs.find((one) => one === form.get('verb'))
  need(visit, `approvals.${verb ?? 'approve'}`)
  try {
    const objective = verb === 'approve' ? objectiveOf(form) : null
    if (verb === undefined) throw new ApprovalFault('reason', `what is to be done is one of ${verbs.join(', ')}`)
    if (objective === undefined)
      throw new ApprovalFault('objective', 'for more than this call say all three: tools, calls (a number) and for how long (such as 10m)')
    const row = await desk.act(id, visit.who, { verb, reason: lineOf(form, 'reason'), as: visit.shell.name, objective })
    visit.tell(verb === 'approve' && row.state === 'pending' ? `${done.approve} It waits for another person.` : done[verb])
  } catch (error) {
    return again(error, id, form, visit, options)
  }
  return redirect(visit.path)
}

/** Declined as suspicious; whoever may stop its task does. */
async function report(id: string, form: URLSearchParams, visit: Visit, options: ApprovalPartOptions): Promise<Answer> {
  need(visit, 'approvals.decline')
  const { desk, kills } = options
  const reason = lineOf(form, 'reason').slice(0, 480)
  const row = await desk.read(id)
  const { task } = row
  const stops = task !== null && allows(visit.shell.roles, 'kills.engage')
  try {
    if (reason === '') throw new ApprovalFault('reason', 'say what looks wrong: it stands in the ledger')
    const name = shortName(row.shown.agent)
    if (stops && lineOf(form, 'typed') !== name) throw new ApprovalFault('reason', `nothing was stopped: type ${name} to stop its task`)
    const declined = await declinedAs(id, `suspicious: ${reason}`, visit, desk)
    if (stops)
      await kills.engage({
        scope: 'task',
        name: task,
        by: `person:${visit.shell.name}`,
        reason: `suspicious: ${reason}`,
        method: visit.who.method,
      })
    visit.tell(
      `${declined ? 'You have declined it' : 'It was not yours to decline'}${stops ? ', and its task is stopped' : ''}.`,
      !declined,
    )
  } catch (error) {
    return again(error, id, form, visit, options)
  }
  return redirect(visit.path)
}

/** False when it is not theirs to answer, or is closed: stopping the task is not held up by that. */
async function declinedAs(id: string, reason: string, { who, shell }: Visit, desk: Desk): Promise<boolean> {
  try {
    await desk.act(id, who, { verb: 'decline', reason, as: shell.name, objective: null })
    return true
  } catch (error) {
    if (error instanceof ApprovalFault) return false
    throw error
  }
}

async function again(error: unknown, id: string, form: URLSearchParams, visit: Visit, options: ApprovalPartOptions): Promise<Answer> {
  if (!(error instanceof ApprovalFault) || error.why === 'unknown') throw error
  const typed: Typed = { note: error.message, status: statusOf(error), form }
  return shown(await options.desk.read(id), visit, options, typed)
}

function objectiveOf(form: URLSearchParams): ReturnType<typeof objectiveIn> {
  const [tools, calls, time] = ['tools', 'calls', 'for'].map((name) => lineOf(form, name))
  if (!tools && !calls && !time) return null
  const names = (tools ?? '').split(',').map((tool) => tool.trim())
  return objectiveIn({ tools: names, calls: /^\d{1,5}$/.test(calls ?? '') ? Number(calls) : null, for: time })
}
