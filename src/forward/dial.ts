/** Opens a connection to an upstream: the name is resolved once, every address is judged, and one of exactly those is dialled. */
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { getCACertificates, TLSSocket, type SecureContext } from 'node:tls'
import { promises as dns } from 'node:dns'
import { buildConnector } from 'undici'
import { Refusal } from '../refusal.ts'
import { mayDial } from './guard.ts'
import type { SvidTls } from './svid.ts'
import type { Upstream } from './upstream.ts'

export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

/** Resolves a name to all of its addresses; rejects when there is none. */
export type Lookup = (hostname: string) => Promise<readonly ResolvedAddress[]>

export interface DialOptions {
  readonly lookup?: Lookup | undefined
  /** PEM certificates trusted besides those of the system. */
  readonly ca?: readonly string[] | undefined
  /** On routes with `tls: svid`: what we show and what the upstream must prove. */
  readonly svid?: SvidTls | null
  /** What a lease proves in the handshake; the upstream is judged by its name all the same. */
  readonly client?: ClientProof
}

/** A client certificate with its key, as long as the lease it came with stands. */
export interface ClientProof {
  /** With the authorities that the upstream may be vouched for by. */
  readonly context: SecureContext
  stands(): boolean
}

/** The far end of a connection, as it was found when the connection was made. */
export interface Reached {
  /** `ip:port`. */
  readonly address: string
  /** Who it has proven to be: a SPIFFE ID, `dns:<name>` or `ip:<address>`; null over plain HTTP. */
  readonly proven: string | null
  /** Whether the connection may be used for another call; null: as long as it stands. */
  readonly usable: (() => boolean) | null
}

/** Told of each connection that stands. */
export type Dialled = (reached: Reached) => void

/** A way to make connections, and what the far end of one has proven; `prove` throws the refusal of what it has not. */
interface Way {
  readonly connector: buildConnector.connector
  readonly prove: (socket: Socket) => Pick<Reached, 'proven' | 'usable'>
}

/**
 * Makes the `connect` function of one upstream's connections; fails with `forward.forbidden-address` where the guard says no,
 * and with `forward.untrusted` where the upstream must prove a SPIFFE ID and does not.
 */
export function makeDial(upstream: Upstream, given: DialOptions): (dialled: Dialled) => buildConnector.connector {
  const { reach } = upstream.route
  const literal = isIP(upstream.hostname) !== 0
  const way = given.svid
    ? svidWay(upstream, given, given.svid)
    : given.client
      ? clientWay(upstream, given, given.client)
      : namedWay(upstream, given)
  return (dialled) => (request, callback) => {
    const refuse = (error: unknown): void => callback(Refusal.from(error), null)
    if (literal && !mayDial(upstream.hostname, reach)) return refuse(forbidden(upstream.hostname))
    let taken: Way
    try {
      taken = way()
    } catch (error) {
      return refuse(error)
    }
    taken.connector({ ...request, hostname: upstream.hostname, servername: literal ? '' : upstream.hostname }, (error, socket) => {
      if (error !== null) return callback(error, null)
      try {
        dialled(admit(socket, reach, taken))
      } catch (fault) {
        socket.destroy()
        return refuse(fault)
      }
      callback(null, socket)
    })
  }
}

function nameOf({ hostname }: Upstream): string {
  return `${isIP(hostname) === 0 ? 'dns' : 'ip'}:${hostname}`
}

/** TLS by the name of the upstream, with the certificate of a lease. No session is kept: a resumed one would prove the lease without its key. */
function clientWay(upstream: Upstream, given: DialOptions, client: ClientProof): () => Way {
  const trust = { secureContext: client.context, maxCachedSessions: 0 }
  const proof = { proven: nameOf(upstream), usable: () => client.stands() }
  const way: Way = { connector: buildConnector({ ...connecting(upstream, given), ...trust }), prove: () => proof }
  return () => {
    if (!client.stands()) throw new Refusal('credential.unavailable', { retry: 'later', detail: 'the lease has ended' })
    return way
  }
}

/** TCP, or TLS by the name of the upstream, as the web does it. */
function namedWay(upstream: Upstream, given: DialOptions): () => Way {
  const { scheme } = upstream.route.to
  const proof = { proven: scheme === 'https' ? nameOf(upstream) : null, usable: null }
  const ca = given.ca === undefined ? {} : { ca: [...getCACertificates('default'), ...given.ca] }
  const way: Way = { connector: buildConnector({ ...connecting(upstream, given), ...ca }), prove: () => proof }
  return () => way
}

/**
 * TLS with our SVID of the moment. OpenSSL judges nothing: `prove` does, before the socket is handed on and so before anything is written.
 * No session is kept: a resumed one shows no chain, and may be that of an SVID we no longer have.
 */
function svidWay(upstream: Upstream, given: DialOptions, svid: SvidTls): () => Way {
  const ways = new WeakMap<object, Way>()
  return () => {
    const held = svid.held()
    const known = ways.get(held)
    if (known !== undefined) return known
    const trust = { secureContext: held.context, rejectUnauthorized: false, maxCachedSessions: 0 }
    const prove = (socket: Socket): Pick<Reached, 'proven' | 'usable'> => {
      if (!(socket instanceof TLSSocket)) throw new Refusal('internal', { detail: 'tls: svid without TLS' })
      const { id, usable } = svid.prove(socket, held)
      return { proven: id, usable }
    }
    const way: Way = { connector: buildConnector({ ...connecting(upstream, given), ...trust }), prove }
    ways.set(held, way)
    return way
  }
}

function connecting({ route }: Upstream, given: DialOptions): buildConnector.BuildOptions {
  return {
    allowH2: false,
    timeout: route.timeouts.connect,
    autoSelectFamily: true,
    lookup: guardedLookup(given.lookup ?? systemLookup, route.reach),
  }
}

/** Belt and braces: whatever path led here, the peer itself is judged before a byte is written to it. */
function admit(socket: Socket, reach: 'public' | 'private', way: Way): Reached {
  const { remoteAddress = '', remotePort = 0 } = socket
  if (!mayDial(remoteAddress, reach)) throw forbidden(remoteAddress)
  const address = remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
  return { address, ...way.prove(socket) }
}

const systemLookup: Lookup = (hostname) => dns.lookup(hostname, { all: true })

/** A resolver for `net.connect` that hands on nothing it has not judged: between check and dial there is no second look-up. */
function guardedLookup(resolve: Lookup, reach: 'public' | 'private'): LookupFunction {
  return (hostname, options, hand) => {
    void judged(resolve, hostname, reach).then((answer) => {
      if (answer instanceof Refusal) hand(answer, '', 0)
      else if (options.all) hand(null, answer)
      else hand(null, answer[0]?.address ?? '', answer[0]?.family)
    })
  }
}

/** Never rejects: what stands against the dial is given as the refusal it is. */
async function judged(resolve: Lookup, hostname: string, reach: 'public' | 'private'): Promise<ResolvedAddress[] | Refusal> {
  try {
    const addresses = await resolve(hostname)
    if (addresses.length === 0) return unreachable('the name has no address')
    // One forbidden address condemns the answer: a name that mixes inside and outside is how rebinding looks.
    const bad = addresses.find((each) => !mayDial(each.address, reach))
    return bad === undefined ? [...addresses] : forbidden(bad.address)
  } catch {
    return unreachable('the name does not resolve')
  }
}

/** Nothing was sent: another try repeats no effect. */
function unreachable(detail: string): Refusal {
  return new Refusal('forward.unreachable', { retry: 'later', detail })
}

function forbidden(address: string): Refusal {
  return new Refusal('forward.forbidden-address', { detail: `the upstream resolves to ${address}` })
}
