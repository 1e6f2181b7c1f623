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
  const { agent, registered, unused, lapsed, proposal, warnings } = one
  const due = lapsed.map(
    ({ of, until, lapsed: over, says }) => `${of}: ${says}${until === null ? '' : `, ${over ? 'lapsed' : 'lapses'} ${until}`}`,
  )
  const diff = proposal === null ? [] : proposal.diff.trimEnd().split('\n')
  return [
    agent,
    ...line('is', registered === null ? ['not registered'] : [registered.purpose, registered.lifecycle, registered.autonomy]),
    ...line(
      'owners',
      Object.entries(registered?.owners ?? {}).map(([role, name]) => `${role} ${name}`),
    ),
    ...line('may use', registered?.intent.tools ?? []),
    ...usedLines(one.used),
    ...heldLines(one),
    ...line('lapsed', due),
    ...line('unused', unusedOf(unused)),
    ...warnings.map((text) => `  ! ${text}`),
    ...(diff.length === 0 ? [] : ['  proposed, narrower:', ...diff.map((text) => `    ${text}`)]),
  ]
}

function usedLines({ calls, tasks, last, tools, data, destinations, spent, outside }: AgentReview['used']): string[] {
  const most = Object.entries(spent).map(([meter, amount]) => `${meter} ${amount} in one task at most`)
  return [
    ...line('used', calls === 0 ? ['nothing'] : [`${times(calls, 'call')} in ${times(tasks, 'task')}, last ${last ?? '-'}`]),
    ...tools.slice(0, 20).map((tool) => toolLine(tool)),
    ...(tools.length > 20 ? [`            and ${tools.length - 20} tools more`] : []),
    ...line('data', data.map(counted)),
    ...line('went to', destinations.map(counted)),
    ...line('spent', most),
    ...line('outside', outside),
  ]
}

/** What stopped it, what it asked, and the secrets behind it. */
function heldLines({ refused, asked, standing }: AgentReview): string[] {
  const rules = refused.rules.map(({ name, calls, tools }) => `${name} ${calls}${tools.length > 0 ? ` (${tools.join(' ')})` : ''}`)
  const ended = Object.entries(asked.ended).map(([state, number]) => `${state} ${number}`)
  const answers = asked.people.map(({ name, approve, decline }) => `${name}: ${approve} yes, ${decline} no`)
  const secrets = standing.map(({ provider, what, calls }) => `${provider}: ${what}, ${times(calls, 'call')}`)
  return [
    ...line('refused', rules),
    ...line('codes', refused.codes.map(counted)),
    ...line('asked', asked.questions === 0 ? [] : [times(asked.questions, 'question'), ...ended, ...answers]),
    ...line('standing', secrets),
  ]
}

/** `1 call`, `2 calls`. */
export function times(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
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
