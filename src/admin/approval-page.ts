/** The part of the page where people see what is asked, and answer it. */
import { ApprovalFault } from '../approve/fault.ts'
import type { Answer } from './answer.ts'
import { approvalPage, listPage, type Reader, type Typed } from './approval-html.ts'
import { objectiveIn } from './approvals.ts'
import { statusOf, verbs, type Desk, type Verb } from './desk.ts'
import { lineOf, need, redirect, type Part, type Visit } from './visit.ts'

const done: Readonly<Record<Verb, string>> = {
  approve: 'You have approved it.',
  decline: 'You have declined it.',
  withdraw: 'You have taken it back.',
  'break-glass': 'You have broken the glass. Everybody is told.',
}

/** `/` and `/approvals/<id>`. `clock` gives epoch ms. */
export function approvalPart(desk: Desk, clock: () => number): Part {
  return async (visit) => {
    const { path, form, who, shell } = visit
    const id = /^\/approvals\/([^/]+)$/.exec(path)?.[1]
    if (id === undefined && path !== '/') return null
    const reader: Reader = { who, shell, mayBreak: desk.mayBreak(who), now: clock() }
    if (form !== null && id !== undefined) return answer(id, form, visit, { desk, reader })
    need(visit, 'approvals.read')
    return id === undefined ? listPage(await desk.list({}), shell, reader.now) : approvalPage(await desk.read(id), reader, null)
  }
}

async function answer(
  id: string,
  form: URLSearchParams,
  visit: Visit,
  { desk, reader }: { readonly desk: Desk; readonly reader: Reader },
): Promise<Answer> {
  const verb = verbs.find((one) => one === form.get('verb'))
  need(visit, `approvals.${verb ?? 'approve'}`)
  try {
    const objective = verb === 'approve' ? objectiveOf(form) : null
    if (verb === undefined) throw new ApprovalFault('reason', `what is to be done is one of ${verbs.join(', ')}`)
    if (objective === undefined)
      throw new ApprovalFault('objective', 'for more than this call say all three: tools, calls (a number) and for how long (such as 10m)')
    const row = await desk.act(id, visit.who, { verb, reason: lineOf(form, 'reason'), as: null, objective })
    visit.tell(verb === 'approve' && row.state === 'pending' ? `${done.approve} It waits for another person.` : done[verb])
  } catch (error) {
    if (!(error instanceof ApprovalFault) || error.why === 'unknown') throw error
    const typed: Typed = { note: error.message, status: statusOf(error), form }
    return approvalPage(await desk.read(id), reader, typed)
  }
  return redirect(visit.path)
}

function objectiveOf(form: URLSearchParams): ReturnType<typeof objectiveIn> {
  const [tools, calls, time] = ['tools', 'calls', 'for'].map((name) => lineOf(form, name))
  if (!tools && !calls && !time) return null
  const names = (tools ?? '').split(',').map((tool) => tool.trim())
  return objectiveIn({ tools: names, calls: /^\d{1,5}$/.test(calls ?? '') ? Number(calls) : null, for: time })
}
