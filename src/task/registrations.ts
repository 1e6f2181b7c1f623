/** What people do to registrations: propose, accept, suspend, resume, retire. Each is an event in the ledger. */
import type { Acceptance, LifecycleState, OwnerRole, RegistrationBook, RegistrationRow } from '../state/registrations.ts'
import type { Agent, AgentRegistry } from './agents.ts'
import { leadsTo, missingRoles, narrower, ownerRoles, type LifecycleVerb } from './lifecycle.ts'
import { whyNotOwner, type Accepting } from './owner.ts'

/** An agent that a file declares: that counts as accepted. */
export interface DeclaredAgent {
  readonly agent: Agent
  /** As it is named from the folder of the configuration. */
  readonly file: string
  /** `sha256:` of the file. */
  readonly sha256: string
  /** `sha256:` of the registration, canonical. */
  readonly digest: string
}

/** A registration as it stands. */
export interface Registered {
  /** As the mint sees it. */
  readonly agent: Agent
  readonly digest: string
  /** Where it is declared; null when it came through the admin API. */
  readonly file: string | null
  /** Null while nothing was done to an agent that a file declares. */
  readonly row: RegistrationRow | null
}

export interface RegistrationEvent {
  readonly kind: `agent.${'registered' | 'proposed' | 'accepted' | 'suspended' | 'resumed' | 'retired'}`
  readonly by: string
  readonly detail: Readonly<Record<string, unknown>>
}

/** Why a verb was not done. */
export class RegistrationFault extends Error {
  readonly why: 'unknown' | 'state' | 'malformed' | 'not-owner'

  constructor(why: RegistrationFault['why'], message: string) {
    super(message)
    this.name = 'RegistrationFault'
    this.why = why
  }
}

/** Who, and why. */
export interface By {
  /** `person:<name>`. */
  readonly by: string
  readonly reason: string
  /** How they came in. */
  readonly method?: string
}

export interface RegistrationsOptions {
  readonly book: RegistrationBook
  /** Of the configuration in force. */
  readonly declared: () => readonly DeclaredAgent[]
  readonly registry: () => AgentRegistry
  /** Reads a registration in the words of the configuration; throws RegistrationFault `malformed` with every reason. */
  readonly read: (declared: Readonly<Record<string, unknown>>) => Agent
  readonly digest: (declared: unknown) => string
  /** Epoch ms. */
  readonly clock: () => number
  /** Resolves when the event is in the ledger; rejects with `record.failed`. */
  readonly event: (event: RegistrationEvent) => Promise<void>
  /** Told in the tick of each change: open work of this agent is judged again. */
  readonly changed: (id: string) => void
}

/**
 * The verbs. What may widen (propose, accept, resume) is in the ledger before it is true; what narrows (suspend, retire) is true,
 * and open work is judged by it, before it is in the ledger. Rows are swapped only while they are what was looked at.
 */
export class Registrations {
  readonly #options: RegistrationsOptions

  constructor(options: RegistrationsOptions) {
    this.#options = options
  }

  list(): Registered[] {
    const declared = new Map(this.#options.declared().map((one) => [one.agent.id, one]))
    return this.#options.registry().agents.map((agent) => this.#registered(agent, declared.get(agent.id)))
  }

  /** By id or pattern, exactly as it is registered. Throws `unknown`. */
  show(id: string): Registered {
    const agent = this.#options.registry().agents.find((one) => one.id === id)
    if (agent === undefined) throw new RegistrationFault('unknown', `no agent is registered as ${id}`)
    return this.#registered(
      agent,
      this.#options.declared().find((one) => one.agent.id === id),
    )
  }

  /** A new registration, or a change of one: from now on it waits for its three owners. Throws `malformed` or `state`. */
  async propose(declared: Readonly<Record<string, unknown>>, { by, reason, method }: By): Promise<Registered> {
    const { book, read, digest, event, clock } = this.#options
    const agent = read(declared)
    const file = this.#options.declared().find((one) => one.agent.id === agent.id)?.file
    if (file !== undefined) throw new RegistrationFault('state', `${agent.id} is declared in ${file}: change it there`)
    if (agent.lifecycle === 'suspended' || agent.lifecycle === 'retired')
      throw new RegistrationFault('malformed', `a proposal leads to live or approved, not to ${agent.lifecycle}`)
    if (agent.owners === null)
      throw new RegistrationFault('malformed', 'a proposal names its three owners: business, security and incident')
    const proposed = digest(declared)
    const before = book.registration(agent.id)
    if (before?.declared && digest(before.declared) === proposed && before.lifecycle !== 'retired') return this.show(agent.id)
    const { id, owners, reviewers } = agent
    const said = { agent: id, digest: proposed, before: before?.declared ? digest(before.declared) : null, owners, reviewers }
    await event({ kind: 'agent.proposed', by, detail: { ...said, registration: declared, reason, method } })
    const from = book.registration(id)
    const lifecycle = leadsTo('propose', from === null || (from.declared === null && from.lifecycle === 'live') ? 'none' : from.lifecycle)
    if (lifecycle === null) throw stateFault('propose', id, from?.lifecycle ?? 'none')
    this.#put({ id, declared, lifecycle, acceptances: [], changed: { at: clock(), by, reason } })
    return this.show(id)
  }

  /** One owner says yes; with the last of the three it goes live, or to `approved` when that is what was proposed. Throws `not-owner` too. */
  async accept(id: string, role: OwnerRole, who: Accepting, reason: string): Promise<Registered> {
    const { event, clock, read, digest } = this.#options
    const { row, declared } = this.#own(id, 'accept')
    const now = digest(declared)
    const agent = read(declared)
    const why = whyNotOwner(agent.owners, role, who, row.acceptances)
    if (why !== null) throw new RegistrationFault('not-owner', why)
    const acceptance: Acceptance = { role, by: `person:${who.name}`, at: clock(), digest: now }
    const again = row.acceptances.some((one) => one.role === role && one.by === acceptance.by && one.digest === now)
    if (again) return this.show(id)
    const after = (acceptances: readonly Acceptance[]): readonly Acceptance[] => [
      ...acceptances.filter((one) => one.role !== role),
      acceptance,
    ]
    const missing = missingRoles(after(row.acceptances), now)
    const detail = { agent: id, role, owner: agent.owners?.[role] ?? null, digest: now, missing, reason, method: who.method }
    await event({ kind: 'agent.accepted', by: acceptance.by, detail })
    const { row: from, declared: still } = this.#own(id, 'accept')
    if (digest(still) !== now) throw new RegistrationFault('state', `${id} was proposed anew meanwhile`)
    const acceptances = after(from.acceptances)
    const lifecycle = missingRoles(acceptances, now).length > 0 ? from.lifecycle : this.#accepted(id, from.lifecycle, agent)
    this.#put({ ...from, lifecycle, acceptances, changed: { at: clock(), by: acceptance.by, reason } })
    return this.show(id)
  }

  /** Its calls are refused and what it has open ends, until a person lifts it; of an agent that a file declares too. */
  suspend(id: string, by: By): Promise<Registered> {
    return this.#narrow('suspend', 'agent.suspended', id, by)
  }

  /** It is over: only a new proposal, with new acceptances, brings it back. */
  retire(id: string, by: By): Promise<Registered> {
    return this.#narrow('retire', 'agent.retired', id, by)
  }

  /** suspended or approved → live, by a named person. Throws `state` when owners have not accepted what is registered now. */
  async resume(id: string, { by, reason, method }: By): Promise<Registered> {
    const { book, event, clock, digest } = this.#options
    const { agent, file, row } = this.show(id)
    if (row === null || leadsTo('resume', row.lifecycle) === null) throw stateFault('resume', id, agent.lifecycle, file)
    const missing = row.declared === null ? [] : missingRoles(row.acceptances, digest(row.declared))
    if (missing.length > 0) throw new RegistrationFault('state', `${id} waits for its ${missing.join(', ')} owner`)
    await event({ kind: 'agent.resumed', by, detail: { agent: id, from: row.lifecycle, reason, method } })
    if (book.registration(id) !== row) throw new RegistrationFault('state', `${id} was changed meanwhile`)
    this.#put({ ...row, lifecycle: 'live', changed: { at: clock(), by, reason } })
    return this.show(id)
  }

  /**
   * Writes down, once for each registration as it is, that a file declares it and so counts as accepted by the owners it names.
   * Resolves when that is in the ledger, with what keeps it: to be called when the configuration is in force.
   */
  async declare(declared: readonly DeclaredAgent[]): Promise<() => void> {
    const { book, digest, event, clock } = this.#options
    const fresh = declared.filter((one) => !isKnown(one, book.registration(one.agent.id)))
    await Promise.all(
      fresh.map(({ agent, file, ...digests }) => {
        const { id, owners, reviewers, lifecycle } = agent
        const before = book.registration(id)?.declared
        const supersedes = before ? { supersedes: digest(before) } : {}
        const detail = { agent: id, file, ...digests, lifecycle, owners, reviewers, ...supersedes }
        return event({ kind: 'agent.registered', by: `file:${file}`, detail })
      }),
    )
    return () => {
      const changed = { at: clock(), by: 'countersign', reason: 'declared in a file' }
      for (const one of fresh) {
        const { id } = one.agent
        const lifecycle = narrower('live', book.registration(id)?.lifecycle ?? 'live')
        book.put({ id, declared: null, lifecycle, acceptances: acceptancesOf(one, changed.at), changed })
      }
    }
  }

  #registered(agent: Agent, declared: DeclaredAgent | undefined): Registered {
    const row = this.#options.book.registration(agent.id)
    const digest = declared?.digest ?? (row?.declared ? this.#options.digest(row.declared) : '')
    return { agent, digest, file: declared?.file ?? null, row }
  }

  /** The row of an agent that came through the admin API, in a state that this verb leads on from. */
  #own(id: string, verb: LifecycleVerb): { readonly row: RegistrationRow; readonly declared: NonNullable<RegistrationRow['declared']> } {
    const { agent, file, row } = this.show(id)
    if (file !== null || !row?.declared)
      throw new RegistrationFault('state', `${id} is declared in ${file ?? 'a file'}: that counts as accepted`)
    if (leadsTo(verb, row.lifecycle) === null) throw stateFault(verb, id, agent.lifecycle)
    return { row, declared: row.declared }
  }

  #accepted(id: string, from: LifecycleState, { lifecycle: goal }: Agent): LifecycleState {
    const to = leadsTo('accept', from)
    if (to === null) throw stateFault('accept', id, from)
    return to === 'approved' && goal !== 'approved' ? 'live' : to
  }

  async #narrow(verb: 'suspend' | 'retire', kind: RegistrationEvent['kind'], id: string, { by, reason, method }: By): Promise<Registered> {
    const { event, clock, digest } = this.#options
    const { row, file, agent } = this.show(id)
    const lifecycle = leadsTo(verb, row?.lifecycle ?? agent.lifecycle)
    if (lifecycle === null) throw stateFault(verb, id, agent.lifecycle, file)
    const base = row ?? { id, declared: null, acceptances: [] }
    this.#put({ ...base, lifecycle, changed: { at: clock(), by, reason } })
    const what = row?.declared ? { digest: digest(row.declared) } : { file }
    await event({ kind, by, detail: { agent: id, from: agent.lifecycle, ...what, owners: agent.owners, reason, method } })
    return this.show(id)
  }

  #put(row: RegistrationRow): void {
    this.#options.book.put(row)
    this.#options.changed(row.id)
  }
}

function stateFault(verb: LifecycleVerb, id: string, state: string, file: string | null = null): RegistrationFault {
  const where = file === null ? '' : ` (declared in ${file})`
  return new RegistrationFault('state', `${id} is ${state}${where}: there is no ${verb} from there`)
}

function isKnown({ file, digest, agent }: DeclaredAgent, row: RegistrationRow | null): boolean {
  if (row === null || row.declared !== null) return false
  const named = ownerRoles.filter((role) => agent.owners?.[role])
  return named.length === row.acceptances.length && row.acceptances.every((one) => one.digest === digest && one.by === `file:${file}`)
}

/** Whoever named the owners in a reviewed file has spoken for them. */
function acceptancesOf({ agent: { owners }, file, digest }: DeclaredAgent, at: number): Acceptance[] {
  return ownerRoles.filter((role) => owners?.[role]).map((role) => ({ role, by: `file:${file}`, at, digest }))
}
