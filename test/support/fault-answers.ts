import type { LineFault } from './fault-line.ts'
import type { Dependency } from './fault-servers.ts'

const unavailable = /^503 identify\.unavailable$/
const nothingLent = /^502 credential\.unavailable$/
/** How calls are answered that need a dependency which fails. */
export interface Expected {
  /** Longest wait that is configured, ms. */
  readonly deadline: number
  readonly usual: RegExp
  readonly other?: Partial<Record<LineFault, RegExp>>
  /** What is said when all is well, and what flapping says besides. */
  readonly well: RegExp
}
const ok = /^200$/

export const expected: Readonly<Record<Dependency, Expected>> = {
  spire: { deadline: 1000, usual: unavailable, well: ok },
  jwks: { deadline: 5000, usual: unavailable, well: ok },
  bundle: { deadline: 1000, usual: /^503 decide\.unavailable$/, well: ok },
  issuer: { deadline: 1000, usual: nothingLent, well: ok },
  openbao: { deadline: 1500, usual: nothingLent, well: ok },
  approval: { deadline: 1000, usual: /^403 approve\.required$/, well: /^403 approve\.required$/ },
  sink: { deadline: 1000, usual: ok, well: ok },
  upstream: {
    deadline: 1000,
    usual: /^502 forward\.unreachable$/,
    other: {
      'black hole': /^(502 forward\.unreachable|504 forward\.timeout)$/,
      '5xx': /^503$/,
      slow: /^504 forward\.timeout$/,
      garbage: /^502 forward\.response-refused$/,
      truncated: /^(cut|502 forward\.response-refused|502 forward\.unreachable)$/,
      'TLS wrong': /^502 forward\.untrusted$/,
    },
    well: ok,
  },
}
