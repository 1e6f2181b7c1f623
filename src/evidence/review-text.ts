/** An access review for a terminal. What came from a record never moves the cursor. */

import type { AccessReview, AgentReview, Named } from './review-form.ts'
import { duration } from './registration.ts'

/** The whole of it, an agent after the other. */
export function reviewText(review: AccessReview): string {
  const { first, last, lines, calls, agents, warnings } = review
  const head = `access review of ${agents.length} agent${agents.length === 1 ? '' : 's'}: ${calls} calls in ${lines} lines, ${first ?? '-'} to ${last ?? '-'}`
  const parts = [[head, ...warnings.map((one) => `! ${one}`)], ...agents.map(agentLines)]
  return `${parts.map((part) => part.map(printable).join('\n')).join('\n\n')}\n`
}

/** One agent, line by line; a line holds no newline but those of the proposal. */
function agentLines(one: AgentReview): string[] {
  const { agent, registered, used, refused, asked, standing, unused, lapsed, proposal, warnings } = one
  const owners = Object.entries(registered?.owners ?? {}).map(([role, name]) => `${role} ${name}`)
  const answers = asked.people.map(({ name, approve, decline }) => `${name}: ${approve} yes, ${decline} no`)
  const ended = Object.entries(asked.ended).map(([state, number]) => `${state} ${number}`)
  return [
    agent,
    ...line('is', registered === null ? ['not registered'] : [registered.purpose, registered.lifecycle, registered.autonomy]),
    ...line('owners', owners),
    ...line('may use', registered?.intent.tools ?? []),
    ...line('used', used.calls === 0 ? ['nothing'] : [`${used.calls} calls in ${used.tasks} tasks, last ${used.last ?? '-'}`]),
    ...used.tools.slice(0, 20).map((tool) => toolLine(tool)),
    ...(used.tools.length > 20 ? [`            and ${used.tools.length - 20} tools more`] : []),
    ...line('data', used.data.map(counted)),
    ...line('went to', used.destinations.map(counted)),
    ...line(
      'spent',
      Object.entries(used.spent).map(([meter, most]) => `${meter} ${most} in one task at most`),
    ),
    ...line('outside', used.outside),
    ...line(
      'refused',
      refused.rules.map((rule) => `${rule.name} ${rule.calls}${rule.tools.length > 0 ? ` (${rule.tools.join(' ')})` : ''}`),
    ),
    ...line('codes', refused.codes.map(counted)),
    ...line('asked', asked.questions === 0 ? [] : [`${asked.questions} times`, ...ended, ...answers]),
    ...line(
      'standing',
      standing.map(({ provider, what, calls }) => `${provider}: ${what}, ${calls} calls`),
    ),
    ...line(
      'lapsed',
      lapsed.map(
        ({ of, until, lapsed: over, says }) => `${of}: ${says}${until === null ? '' : `, ${over ? 'lapsed' : 'lapses'} ${until}`}`,
      ),
    ),
    ...line('unused', unusedOf(unused)),
    ...warnings.map((text) => `  ! ${text}`),
    ...(proposal === null
      ? []
      : [
          '  proposed, narrower:',
          ...proposal.diff
            .trimEnd()
            .split('\n')
            .map((text) => `    ${text}`),
        ]),
  ]
}

/** What it could do without, in words. */
export function unusedOf({ tools, resources, data, egress, budget, ttl, reachable }: AgentReview['unused']): readonly string[] {
  return [
    ...tools.map((name) => `tool ${name}`),
    ...resources.map((name) => `resource ${name}`),
    ...data.map((name) => `data ${name}`),
    ...egress.map((name) => `egress ${name}`),
    ...budget.map(({ meter, limit, used }) => `budget ${meter}: ${used === null ? 'nothing' : `at most ${used}`} of ${limit}`),
    ...(ttl === null ? [] : [`ttl: ${duration(Math.round(ttl.used / 1000) * 1000)} of ${duration(ttl.limit)}`]),
    ...reachable.map((name) => `reachable ${name}`),
  ]
}

function toolLine({ name, calls, last, resource_count: count, resources, data, egress }: AgentReview['used']['tools'][number]): string {
  const shown =
    count === 0 ? '' : `, ${count} resource${count === 1 ? '' : 's'} (${resources.slice(0, 3).join(' ')}${count > 3 ? ' …' : ''})`
  return `            ${name} ${calls}, last ${last.slice(0, 10)}, ${[...data, ...egress].join(' ')}${shown}`
}

function line(name: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`  ${name.padEnd(10)}${values.join(', ')}`]
}

function counted({ name, calls }: Named): string {
  return `${name} ${calls}`
}

function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}
