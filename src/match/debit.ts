/** What a call spends of its task's budget: fixed amounts, and numbers that stand in its judged body. */

import { Refusal } from '../refusal.ts'

/** Meter → amount, `calls` included. */
export type Amounts = Readonly<Record<string, number>>

/** Takes the judged body (`undefined` when there is none) and gives the amounts; throws `match.body` when one cannot be read. */
export type Debit = (parsed: unknown) => Amounts

/**
 * Compiles the `debit` of a tool: a number is spent as it is, a text is an RFC 6901 pointer to a number in the body.
 * A pointed-to value that is no finite number ≥ 0 refuses the call. Throws an Error that says what is wrong with the setting.
 */
export function compileDebit(written: Readonly<Record<string, string | number>>, judged: boolean): Debit {
  const fixed = Object.create(null) as Record<string, number>
  const pointed: { readonly meter: string; readonly path: readonly string[] }[] = []
  fixed['calls'] = 1
  for (const [meter, amount] of Object.entries(written)) {
    if (typeof amount === 'string') {
      if (!judged) throw new Error('a pointer into the body needs args: json')
      pointed.push({ meter, path: parsePointer(amount) })
    } else if (!Number.isFinite(amount) || amount < 0) throw new Error(`the debit of ${meter} must be a number of at least 0`)
    else fixed[meter] = amount
  }
  if ((fixed['calls'] ?? 0) < 1 || pointed.some(({ meter }) => meter === 'calls')) throw new Error('a call debits at least one call')
  const frozen = Object.freeze(fixed)
  if (pointed.length === 0) return () => frozen
  return (parsed) => {
    const amounts = Object.assign(Object.create(null) as Record<string, number>, frozen)
    for (const { meter, path } of pointed) amounts[meter] = amountAt(parsed, path)
    return amounts
  }
}

/** RFC 6901 §3 and §4: `/`-separated reference tokens, in which `~1` is a slash and `~0` a tilde, unescaped in that order. */
function parsePointer(written: string): readonly string[] {
  if (written === '') return []
  if (!written.startsWith('/') || /~(?![01])/.test(written)) throw new Error('must be a JSON pointer')
  return written
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function amountAt(document: unknown, path: readonly string[]): number {
  let value = document
  for (const token of path) value = member(value, token)
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new Refusal('match.body', { reasons: ['an amount that the budget counts is missing from the body'] })
  return value + 0
}

/** RFC 6901 §4: an index has no leading zero, and `-` names nothing that exists. */
function member(value: unknown, token: string): unknown {
  if (value === null || typeof value !== 'object') return undefined
  if (Array.isArray(value) && !/^(0|[1-9][0-9]{0,15})$/.test(token)) return undefined
  return Object.hasOwn(value, token) ? (value as Record<string, unknown>)[token] : undefined
}
