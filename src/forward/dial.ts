/** Opens a connection to an upstream: the name is resolved once, every address is judged, and one of exactly those is dialled. */
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { getCACertificates } from 'node:tls'
import { promises as dns } from 'node:dns'
import { buildConnector } from 'undici'
import { Refusal } from '../refusal.ts'
import { mayDial } from './guard.ts'
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
}

/** Told `ip:port` of each connection that stands. */
export type Dialled = (address: string) => void

/** Makes the `connect` function of one upstream's connections; fails with `forward.forbidden-address` where the guard says no. */
export function makeDial(upstream: Upstream, given: DialOptions): (dialled: Dialled) => buildConnector.connector {
  const { reach, timeouts } = upstream.route
  const literal = isIP(upstream.hostname) !== 0
  const options: buildConnector.BuildOptions = {
    allowH2: false,
    timeout: timeouts.connect,
    autoSelectFamily: true,
    lookup: guardedLookup(given.lookup ?? systemLookup, reach),
    ...(given.ca === undefined ? {} : { ca: [...getCACertificates('default'), ...given.ca] }),
  }
  const connector = buildConnector(options)
  return (dialled) => (request, callback) => {
    if (literal && !mayDial(upstream.hostname, reach)) {
      callback(forbidden(upstream.hostname), null)
      return
    }
    connector({ ...request, hostname: upstream.hostname, servername: literal ? '' : upstream.hostname }, (error, socket) => {
      if (error !== null) callback(error, null)
      else admit(socket, reach, dialled, callback)
    })
  }
}

/** Belt and braces: whatever path led here, the peer itself is judged before a byte is written to it. */
function admit(socket: Socket, reach: 'public' | 'private', dialled: Dialled, callback: buildConnector.Callback): void {
  const { remoteAddress = '', remotePort = 0 } = socket
  if (!mayDial(remoteAddress, reach)) {
    socket.destroy()
    callback(forbidden(remoteAddress), null)
    return
  }
  dialled(remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`)
  callback(null, socket)
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
