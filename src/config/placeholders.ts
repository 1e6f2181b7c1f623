/** Finds owners that nobody ever filled in: those of examples, starters and the demonstration. */
import type { Finding } from './findings.ts'
import type { Config } from './schema.ts'
import type { Place } from './yaml-text.ts'

/** Names that answer for nothing: somebody copied an example and put nobody in. */
export function placeholders({ task, forward, credential }: Config, place: Place): Finding[] {
  const found: Finding[] = []
  const look = (path: readonly PropertyKey[], named: Readonly<Record<string, string | undefined>>): void => {
    const empty = Object.entries(named).filter(([, name]) => name !== undefined && isPlaceholder(name))
    if (empty.length === 0) return
    const which = empty.map(([role, name]) => `${role} ${name}`).join(', ')
    found.push(place('CS1603', 'warning', path, `nobody answers under a placeholder: ${which}`))
  }
  for (const [index, { owners = {}, reviewers }] of task.agents.entries()) {
    const { business, security, incident } = owners
    look(['task', 'agents', index, 'owners'], { business, security, incident })
    look(['task', 'agents', index, 'reviewers'], { legal: reviewers.legal?.name, compliance: reviewers.compliance?.name })
  }
  for (const [name, { owner, approved }] of Object.entries(forward.routes))
    look(['forward', 'routes', name, 'owner'], { owner, 'approved by': approved?.by })
  for (const [name, { owner, approved }] of Object.entries(credential.providers))
    look(['credential', 'providers', name, 'owner'], { owner, 'approved by': approved?.by })
  return found
}

/** Names and domains that are kept for examples (RFC 2606, RFC 6761), and words that stand for a name. */
const placeholder = /(?:[.@]|^)(?:example|test|invalid|localhost)$|(?:[.@]|^)example\.(?:com|net|org)$/i
const nobody = /^(?:todo|tbd|fixme|change-?me|placeholder|owner|someone|somebody|nobody|none|unknown|n\/a|x{2,}|\?+|-+|<.*>)$/i

/** True for a name under which nobody can be reached. */
export function isPlaceholder(name: string): boolean {
  const text = name.trim()
  return placeholder.test(text) || nobody.test(text)
}
