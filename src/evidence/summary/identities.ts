/** Who and what took part: agents with those who answer for them, workloads, tools, services, people. */
import type { EvidenceLine } from '../line.ts'
import type { CallRow } from './calls.ts'
import { moment, sorted, text, textsByName } from './plain.ts'
import type { TaskRow } from './tasks.ts'

export interface AgentRow {
  readonly agent: string
  readonly owners: Readonly<Record<string, string>>
  readonly reviewers: Readonly<Record<string, string>>
  readonly callers: readonly string[]
}

export interface CallerRow {
  readonly caller: string
  readonly trust_domain: string | null
  /** How it was proven, and whether it proved a key with its calls. */
  readonly proofs: readonly string[]
  readonly calls: number
}

export interface ServiceRow {
  readonly downstream: string
  /** Who was proven to be there. */
  readonly proven: readonly string[]
  readonly routes: readonly string[]
  readonly egress: readonly string[]
  readonly calls: number
  readonly bytes_out: number
  readonly bytes_in: number
  /** Who answers for route and credential, and who approved that calls go there. */
  readonly answerable: readonly { readonly what: string; readonly who: string; readonly until: string | null }[]
}

export interface PersonRow {
  readonly subject: string
  readonly issuer: string | null
}

/** Of the calls and of the openings. */
export function peopleOf(calls: readonly CallRow[], tasks: readonly TaskRow[]): readonly PersonRow[] {
  const rows = new Map<string, PersonRow>()
  for (const person of [...tasks.map((task) => task.on_behalf_of), ...calls.map(({ human }) => human)]) {
    if (person?.subject == null) continue
    rows.set(JSON.stringify([person.subject, person.issuer]), { subject: person.subject, issuer: person.issuer })
  }
  return [...rows.values()]
}

export function agentsOf(lines: readonly EvidenceLine[]): readonly AgentRow[] {
  const rows = new Map<string, AgentRow>()
  for (const { kind, own } of lines) {
    const agent = kind === 'event' ? null : text(own, 'agent')
    if (agent === null) continue
    const callers = sorted([...(rows.get(agent)?.callers ?? []), text(own, 'caller') ?? ''].filter((caller) => caller !== ''))
    rows.set(agent, { agent, owners: textsByName(own, 'owners'), reviewers: textsByName(own, 'reviewers'), callers })
  }
  return [...rows.values()]
}

export function callersOf(calls: readonly CallRow[]): readonly CallerRow[] {
  const rows = new Map<string, CallerRow>()
  for (const { caller, trust_domain: domain, proof, confirmed } of calls) {
    if (caller === null) continue
    const known = rows.get(caller)
    const proofs = sorted([...(known?.proofs ?? []), [proof, confirmed].filter((one) => one !== null).join(', ')])
    rows.set(caller, { caller, trust_domain: domain, proofs, calls: (known?.calls ?? 0) + 1 })
  }
  return [...rows.values()]
}

/** Where permitted calls went. */
export function servicesOf(calls: readonly CallRow[], lines: readonly EvidenceLine[]): readonly ServiceRow[] {
  const answerable = new Map<string, ServiceRow['answerable']>()
  for (const { own } of lines) {
    const downstream = text(own, 'downstream')
    if (downstream !== null && !answerable.has(downstream)) answerable.set(downstream, answerableOf(own))
  }
  const rows = new Map<string, ServiceRow>()
  for (const call of calls) {
    if (!call.permitted || call.downstream === null) continue
    const known = rows.get(call.downstream)
    rows.set(call.downstream, {
      downstream: call.downstream,
      proven: added(known?.proven, call.downstream_proven),
      routes: added(known?.routes, call.route),
      egress: added(known?.egress, call.egress),
      calls: (known?.calls ?? 0) + 1,
      bytes_out: (known?.bytes_out ?? 0) + (call.bytes_out ?? 0),
      bytes_in: (known?.bytes_in ?? 0) + (call.bytes_in ?? 0),
      answerable: answerable.get(call.downstream) ?? [],
    })
  }
  return [...rows.values()]
}

function answerableOf(own: unknown): ServiceRow['answerable'] {
  const owners = ['route_owner', 'credential_owner'].map((what) => ({ what, who: text(own, what), until: null }))
  const approved = ['route_approved', 'tool_approved', 'credential_approved'].map((what) => ({
    what,
    who: text(own, `${what}.by`),
    until: moment(own, `${what}.until`),
  }))
  return [...owners, ...approved].flatMap(({ what, who, until }) => (who === null ? [] : [{ what, who, until }]))
}

export function added(known: readonly string[] | undefined, one: string | null): readonly string[] {
  return sorted([...(known ?? []), ...(one === null ? [] : [one])])
}
