/** Looks at what TLS listeners are served with, and at whatever else needs the X.509-SVID of this Countersign. */
import { X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'
import { fileIdentity } from '../config/file-identity.ts'
import type { Loaded } from '../config/load.ts'
import type { KeyedChain } from '../listen/server-identity.ts'
import { error, ok, warning, type Check } from './findings.ts'
import { spanText } from './span.ts'

const quiet = { info: () => undefined, warn: () => undefined }
/** Of a life. */
const worn = 0.1

/** `own`: the SPIFFE ID that this Countersign was given an X.509-SVID of; null when none is fit for use. */
export function listenerChecks({ config, folder }: Loaded, own: string | null, now: number): Check[] {
  const listeners = config.listen.agent.flatMap(({ tls }, index) => {
    const subject = `listen.agent[${index}].tls`
    if (tls === undefined) return []
    if (tls === 'svid') return [svidCheck(subject, 'the listener refuses every handshake', own)]
    return [pairCheck(subject, resolve(folder, tls.cert.file), resolve(folder, tls.key.file), now)]
  })
  const routes = Object.entries(config.forward.routes).flatMap(([name, { tls }]) =>
    tls === undefined ? [] : [svidCheck(`forward.routes.${name}.tls`, 'the upstream is not reached', own)],
  )
  return [...listeners, ...routes]
}

function svidCheck(subject: string, effect: string, own: string | null): Check {
  if (own !== null) return ok(subject, `is served with the X.509-SVID of ${own}`)
  return error('CS2604', {
    subject,
    seen: `there is no X.509-SVID of our own: ${effect}`,
    fix: 'See the findings about the Workload API; a source of type spiffe has to give one, and its id or hint has to name it.',
  })
}

function pairCheck(subject: string, cert: string, key: string, now: number): Check {
  let pair: KeyedChain | null
  try {
    pair = fileIdentity({ cert, key, log: quiet }).current()
  } catch (fault) {
    return error('CS2601', {
      subject,
      seen: fault instanceof Error ? fault.message : 'unknown',
      fix: `Give PEM files that this user may read and that belong together: the chain, leaf first, and its unencrypted key. "openssl x509 -noout -pubkey -in ${cert}" and "openssl pkey -pubout -in ${key}" print the same.`,
    })
  }
  return pair === null ? svidCheck(subject, 'nothing is served', null) : lifeCheck(subject, cert, pair, now)
}

function lifeCheck(subject: string, cert: string, pair: KeyedChain, now: number): Check {
  const from = new X509Certificate(pair.cert).validFromDate.getTime()
  const { expires } = pair
  const fix = `Renew it and put the new chain and key in place: they are read again by themselves. A listener with tls: svid needs no files.`
  if (now < from)
    return error('CS2602', { subject, seen: `${cert} is valid from ${spanText(from - now)} from now`, fix: `Check our clock. ${fix}` })
  if (now >= expires) return error('CS2602', { subject, seen: `${cert} expired ${spanText(now - expires)} ago`, fix })
  const left = `${cert} has ${spanText(expires - now)} left`
  return expires - now < (expires - from) * worn ? warning('CS2603', { subject, seen: left, fix }) : ok(subject, left)
}
