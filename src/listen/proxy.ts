/** HTTP in: every listener of the agents, one table of addresses, one count of what is in flight. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NewId } from '../id.ts'
import { Refusal } from '../refusal.ts'
import { addressTable, type AddressTable, type RouteAddress } from './address.ts'
import type { Call, Listener } from './call.ts'
import type { Connection } from './connection.ts'
import { drain, InFlight } from './drain.ts'
import { HttpCall } from './http-call.ts'
import { CallerLoad, type Limits } from './limits.ts'
import { watchPressure } from './pressure.ts'
import { openPort, type ListenAt, type Port } from './port.ts'
import { readRequest, type ReadRequest } from './request.ts'
import type { ServerIdentity } from './server-identity.ts'
import type { Sample } from '../trace-context.ts'

export interface ListenerOptions {
  readonly name: string
  readonly at: ListenAt
  /** The route whose own port it is; null for the shared agent port. */
  readonly route: string | null
  /** Agent ID of callers that hold no token, or null. */
  readonly ambient: string | null
  /** What TLS is served with; null: plain HTTP. */
  readonly tls: ServerIdentity | null
  /** Over TLS: asks clients for a certificate; default true. */
  readonly asks?: boolean
}

export interface ListenOptions {
  readonly listeners: readonly ListenerOptions[]
  readonly routes: readonly RouteAddress[]
  /** Hosts that prefix routes and the agent API accept besides loopback literals; without a port they fit any. */
  readonly hosts: readonly string[]
  readonly limits: Limits
  readonly newId: NewId
  readonly clock: () => number
  /** Which calls are traced; absent: none. */
  readonly sample?: Sample | null
  /** The request path. Never rejects; the call is answered or cut when it resolves. */
  readonly handle: (call: Call) => Promise<void>
  /** A request of which no call could be made. */
  readonly malformed: (listener: string, reason: string) => void
}

export interface Listening {
  /** Port numbers by listener name; unix sockets are not in it. */
  readonly ports: ReadonlyMap<string, number>
  /** Swaps tables and limits at once, opens and closes listeners. Rejects, with nothing changed, when a new one cannot be opened. */
  reconfigure(next: ListenOptions): Promise<void>
  /** Calls that have arrived and are not done. */
  readonly inFlight: number
  /** What callers may hold of their limit at present: 1, or less while the process falls behind. */
  readonly share: number
  /** Names of TLS listeners that have no certificate to serve with at present. */
  readonly lapsed: readonly string[]
  /** Stops accepting, refuses new requests on kept connections, lets calls in flight finish for so many ms, closes everything. */
  drain(deadlineMs: number): Promise<void>
}

/** Opens every listener. Rejects when one cannot be opened; none is left open then. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const ports = new OpenPorts(options)
  try {
    await ports.reconfigure(options)
  } catch (error) {
    ports.unwatch()
    throw error
  }
  return ports
}

/** Unanswered requests that one connection may have; more would be work without end for a caller nobody has identified yet. */
const mostPipelined = 16

/** An open port and the options it goes by at present. Replaced as a whole by `reconfigure`. */
interface Door {
  readonly port: Port
  options: ListenerOptions
  listener: Listener
  readonly gate: { readonly load: CallerLoad; draining: boolean }
}

class OpenPorts implements Listening {
  #options: ListenOptions
  #table: AddressTable
  /** By place, so that a reload keeps what stays where it is. Written only by `reconfigure`. */
  #doors = new Map<string, Door>()
  readonly #inFlight = new InFlight()
  readonly #load = new CallerLoad()
  readonly unwatch: () => void

  constructor(options: ListenOptions) {
    this.#options = options
    this.#table = addressTable(options.routes, options.hosts)
    this.unwatch = watchPressure(this.#load.pressure, () => this.#options.limits.overload)
  }

  get ports(): ReadonlyMap<string, number> {
    const doors = [...this.#doors.values()].filter((door) => door.port.number !== 0)
    return new Map(doors.map((door) => [door.options.name, door.port.number]))
  }

  get inFlight(): number {
    return this.#inFlight.calls.size
  }

  get share(): number {
    return this.#load.pressure.share
  }

  get lapsed(): readonly string[] {
    return [...this.#doors.values()].filter((door) => door.port.lapsed).map((door) => door.options.name)
  }

  async reconfigure(next: ListenOptions): Promise<void> {
    const doors = new Map<string, Door>()
    const opened: Door[] = []
    const turned: [place: string, kept: Door, options: ListenerOptions][] = []
    try {
      for (const options of next.listeners) {
        const place = placeOf(options)
        const kept = this.#doors.get(place)
        if (kept === undefined || kept.gate.draining) opened.push(await this.#open(place, options, next.limits, doors))
        else if (kindOf(kept.options) === kindOf(options)) doors.set(place, kept)
        else turned.push([place, kept, options])
      }
      // last, when nothing else can fail: for a moment nobody listens there
      for (const [place, kept, options] of turned) opened.push(await this.#turn(place, kept, options, next.limits, doors))
    } catch (error) {
      for (const door of opened) giveUp(door)
      await this.#turnBack()
      throw error
    }
    this.#swap(next, doors)
  }

  async drain(deadlineMs: number): Promise<void> {
    const doors = [...this.#doors.values()]
    for (const door of doors) door.gate.draining = true
    const ports = doors.map((door) => door.port)
    this.unwatch()
    await drain(ports, this.#inFlight, deadlineMs)
  }

  async #open(place: string, options: ListenerOptions, limits: Limits, doors: Map<string, Door>): Promise<Door> {
    const { clock } = this.#options
    const port = await openPort(
      { at: options.at, limits, identity: options.tls, asks: options.asks ?? true, clock },
      {
        arrived: (connection, incoming, outgoing) => this.#arrived(door, connection, incoming, outgoing),
        malformed: (reason) => this.#options.malformed(door.options.name, reason),
      },
    )
    const door: Door = { port, options, listener: listenerOf(options, port), gate: { load: this.#load, draining: false } }
    doors.set(place, door)
    return door
  }

  /** Opens a plain door in the place of a TLS one, or one of another kind in that of any: on the same port, which is free only once the old one is closed. */
  async #turn(place: string, old: Door, options: ListenerOptions, limits: Limits, doors: Map<string, Door>): Promise<Door> {
    giveUp(old)
    const { at } = options
    return this.#open(place, { ...options, at: 'path' in at ? at : { ...at, port: old.port.number } }, limits, doors)
  }

  /** After a `reconfigure` that failed: opens again, as they were, the doors that it had closed. */
  async #turnBack(): Promise<void> {
    for (const [place, door] of this.#doors) {
      if (door.gate.draining) await this.#turn(place, door, door.options, this.#options.limits, this.#doors)
    }
  }

  /** One tick: no request is read by half of the old tables and half of the new. */
  #swap(next: ListenOptions, doors: Map<string, Door>): void {
    const gone = [...this.#doors].filter(([place, door]) => doors.get(place) !== door)
    this.#options = next
    this.#table = addressTable(next.routes, next.hosts)
    this.#doors = doors
    for (const options of next.listeners) {
      const door = doors.get(placeOf(options))
      if (door === undefined) continue
      door.options = options
      door.listener = listenerOf(options, door.port)
      door.port.setLimits(next.limits)
      if (options.tls !== null) door.port.serve(options.tls)
    }
    for (const [, door] of gone) giveUp(door)
  }

  #arrived(door: Door, connection: Connection, incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { limits, newId, clock, handle, sample = null } = this.#options
    const { method = '', url = '', httpVersion, rawHeaders } = incoming
    const { term } = connection
    const raw = { method, scheme: term === null ? 'http' : 'https', target: url, version: httpVersion, headers: rawHeaders } as const
    let read = readRequest(raw, door.options.route, this.#table, limits)
    if (connection.calls.size >= mostPipelined) read = crowded(read)
    if (term !== null && door.port.lapsed) read = lapsed(read)
    const call = new HttpCall({
      id: newId('c'),
      received: clock(),
      listener: door.listener,
      read,
      limits,
      gate: door.gate,
      sample,
      connection,
      incoming,
      outgoing,
    })
    // at once, not when it is answered: what came in the same packet behind a refused request is no request
    if (read.problem !== null) connection.close()
    this.#inFlight.calls.add(call)
    if (door.gate.draining) call.last()
    else if (term !== null && call.received >= term.worn) connection.finish(call)
    handle(call).then(
      () => this.#settled(call),
      (error: unknown) => {
        call.refuse(Refusal.from(error))
        this.#settled(call)
      },
    )
  }

  #settled(call: HttpCall): void {
    call.settle()
    this.#inFlight.leave(call)
  }
}

function crowded(read: ReadRequest): ReadRequest {
  return { ...read, problem: new Refusal('listen.overloaded', { reasons: ['too many requests wait on this connection'] }) }
}

/** Who is served cannot be told any more who serves. */
function lapsed(read: ReadRequest): ReadRequest {
  if (read.problem !== null) return read
  const reasons = ['this listener has no certificate at present']
  return {
    ...read,
    problem: new Refusal('identify.unavailable', { reasons, detail: 'the certificate of the listener expired or was withdrawn' }),
  }
}

/** Kept connections must not go on, say under an ambient identity that was taken away: what comes on them is refused. */
function giveUp(door: Door): void {
  door.gate.draining = true
  void door.port.close()
}

/** What a listener has to be opened anew for. */
function kindOf({ tls, asks = true }: ListenerOptions): 'plain' | 'tokens' | 'certificates' {
  if (tls === null) return 'plain'
  return asks ? 'certificates' : 'tokens'
}

function placeOf(options: ListenerOptions): string {
  if ('path' in options.at) return options.at.path
  const { host, port } = options.at
  return port === 0 ? `${host}:0 ${options.name}` : `${host}:${port}`
}

function listenerOf(options: ListenerOptions, port: Port): Listener {
  return { name: options.name, port: port.number, ambient: options.ambient }
}
