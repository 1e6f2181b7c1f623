/** What an approval is bound to: whatever of it changes is another call, and another question. */
import { hash } from 'node:crypto'
import type { Question } from '../decide/decide.ts'

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
