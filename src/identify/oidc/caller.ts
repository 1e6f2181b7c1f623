import { hash } from 'node:crypto'
import { readActing } from '../jwt/act.ts'
import { readConfirmation } from '../jwt/cnf.ts'
import type { Caller } from '../identify.ts'
import { rejected } from '../rejected.ts'
import { claimAt, UnfitClaims } from './claim-path.ts'
import type { Preset } from './presets.ts'
import { render } from './template.ts'
import type { Template } from './template.ts'
import type { ReadToken } from './token.ts'

type Scalar = string | number | boolean

/** What a source makes of the claims of its tokens. */
export interface Mapping {
  readonly issuer: string
  readonly template: Template
  readonly preset: Preset | null
  /** By path of a claim: the values of which it must have one. */
  readonly required: ReadonlyMap<string, readonly Scalar[]>
  /** Paths of claims that policy and record may see. */
  readonly shown: readonly string[]
}

/** What policy can see of a claim (`decide/subject.ts`): a token with more is refused here, where it can be said why. */
const most = { members: 32, text: 512, depth: 5 } as const

/**
 * The caller that a token names; throws `identify.rejected` when its claims are not those that are required, do not make a SPIFFE ID, or
 * are too large to be shown. `text` is the token as it came. Whether it is genuine is not looked at here.
 */
export function callerOf(token: ReadToken, text: string, mapping: Mapping): Caller {
  const lookUp = looker(token, mapping)
  for (const [path, values] of mapping.required) checkRequired(path, values, lookUp)
  const { id, trustDomain } = fit('mapping', () => render(mapping.template, lookUp))
  const confirmation = readConfirmation(token.claims)
  const acting = readActing(token.claims)
  return {
    id,
    trustDomain,
    method: 'oidc',
    // a confirmation says what is yet to be proven: until then the token is as good as whoever holds it
    confirmed: 'bearer',
    issuer: mapping.issuer,
    expires: token.expires,
    proof: `sha256:${hash('sha256', text)}`,
    claims: fit('required', () => shownClaims(mapping.shown, lookUp)),
    ...(confirmation === null ? {} : { confirmation }),
    ...(acting === null ? {} : { acting }),
  }
}

/** Looks up claims, and under `@name` what the preset makes of them. */
function looker({ claims }: ReadToken, { preset, issuer }: Mapping): (path: string) => unknown {
  const parts = fit('required', () => preset?.read(claims, issuer) ?? {})
  return (path) => (path.startsWith('@') ? parts[path.slice(1)] : claimAt(claims, path))
}

function checkRequired(path: string, values: readonly Scalar[], lookUp: (path: string) => unknown): void {
  const value = fit('required', () => lookUp(path))
  if (!values.some((one) => one === value))
    throw rejected('required', `the claim ${path} ${value === undefined ? 'is absent' : 'has another value'}`)
}

function shownClaims(paths: readonly string[], lookUp: (path: string) => unknown): Readonly<Record<string, unknown>> {
  const found = paths.map((path) => [path, lookUp(path)] as const).filter(([, value]) => value !== undefined)
  for (const [path, value] of found)
    if (!isSmall(value, most.depth)) throw new UnfitClaims(`the claim ${path} is larger than policy can see`)
  return Object.fromEntries(found)
}

function isSmall(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.length <= most.text
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  const names = Array.isArray(value) ? [] : Object.keys(value)
  const inner: readonly unknown[] = Object.values(value)
  return inner.length <= most.members && names.every((name) => name.length <= most.text) && inner.every((one) => isSmall(one, depth - 1))
}

function fit<Made>(why: 'mapping' | 'required', make: () => Made): Made {
  try {
    return make()
  } catch (error) {
    if (error instanceof UnfitClaims) throw rejected(why, error.message)
    throw error
  }
}
