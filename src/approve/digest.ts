/** What an approval is bound to: whatever of it changes is another call, and another question. */
import { hash } from 'node:crypto'
import type { Question } from '../decide/decide.ts'
import type { Asker, TaskQuestion } from '../task/question.ts'

/**
 * `sha256:` and lower-case hex over one JSON text of task, delegation root, caller, route, destination as it is dialled, tool, method, target
 * bytes, content type and coding, each header that the route selects by, and the digest of the judged body. Texts are quoted and absent
 * is not empty, so that no two questions share a text. The policy revision is none of it: policy judges again, as it is then.
 */
export function actionDigest({ call, caller, task, target }: Question, root: string): string {
  const { route, tool, body } = target
  const { origin, authority, basePath } = route.to
  const bound = [
    'countersign approval 1',
    task.row.id,
    root,
    caller.id,
    [route.name, origin, authority, basePath, route.tls?.ids ?? null],
    tool.name,
    call.method,
    call.address.target,
    header('content-type'),
    header('content-encoding'),
    // what of them is not there is bound too
    route.selects.map((name) => [name, header(name)]),
    [body.kind, body.judged, body.sha256],
  ]
  return `sha256:${hash('sha256', JSON.stringify(bound), 'hex')}`

  function header(name: string): string | null {
    return call.header(name) ?? null
  }
}

/**
 * The same for a task: who asks, for whom, what for, who stands behind it, and what it may do; of one that goes on which, in which session and
 * why; of one that is handed on by which grant, which also says how long it lives.
 */
export function taskDigest({ action, cause, caller, agent, intent, ttl, delegation, opener }: TaskQuestion, asker: Asker): string {
  const { task, session = null, grant = null, onBehalfOf = null, by } = asker
  const { purpose, tools, resources, data, egress, budget, prompt } = intent
  const meters = Object.entries(budget).toSorted(([one], [other]) => (one < other ? -1 : 1))
  const bound = [
    'countersign task approval 1',
    [action, cause ?? null],
    [by, opener?.kind ?? null, opener?.name ?? null],
    [caller.id, agent.id],
    [task?.id ?? null, session, grant],
    [onBehalfOf?.issuer ?? null, onBehalfOf?.subject ?? null],
    delegation.root,
    (delegation.chain ?? []).map(({ party, issuer, task: link }) => [party, issuer, link]),
    [purpose, tools, resources, data, egress, meters, prompt],
    action === 'open' && grant === null ? ttl : null,
  ]
  return `sha256:${hash('sha256', JSON.stringify(bound), 'hex')}`
}
