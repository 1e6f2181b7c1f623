/**
 * The builtins that the host lends to policy: pure and exact. The engine has the others itself.
 * Whatever is not in this table is refused when a bundle is activated: network, randomness, time zones, certificates and tokens
 * (identity is proven before policy), and every pattern that would run on a backtracking engine.
 */

import { createHash } from 'node:crypto'
import { printTerm, compareTerms, type Term } from './term.ts'
import { sprintf } from './sprintf.ts'

/** What a builtin may know besides its arguments: the epoch ms of this evaluation, the same for all of it. */
export interface Evaluation {
  now(): number
}

/** Takes terms and answers JSON text, or undefined where the policy language has a builtin error: the expression is undefined then. */
export type Builtin = (evaluation: Evaluation, ...terms: readonly Term[]) => string | undefined

export const builtins: Readonly<Record<string, Builtin>> = {
  'base64url.encode_no_pad': text((value) => JSON.stringify(Buffer.from(value).toString('base64url'))),
  'crypto.sha256': text((value) => JSON.stringify(createHash('sha256').update(value).digest('hex'))),
  'hex.decode': text(decodeHex),
  'hex.encode': text((value) => JSON.stringify(Buffer.from(value).toString('hex'))),
  indexof_n: texts(indexOfAll),
  'object.subset': (_, whole, part) => (whole === undefined || part === undefined ? undefined : subset(whole, part)),
  sprintf: (_, format, values) =>
    format?.kind === 'string' && values?.kind === 'array' ? JSON.stringify(sprintf(format.value, values.items)) : undefined,
  'strings.any_prefix_match': anyMatch((value, affix) => value.startsWith(affix)),
  'strings.any_suffix_match': anyMatch((value, affix) => value.endsWith(affix)),
  'strings.count': texts((value, part) => String(part === '' ? Array.from(value).length + 1 : value.split(part).length - 1)),
  // Nanoseconds do not fit a double; as text the engine keeps every digit.
  'time.now_ns': (evaluation) => `${evaluation.now()}000000`,
  'urlquery.decode': text((value) => jsonText(decodeQuery(value))),
  'urlquery.decode_object': text(decodeQueryObject),
  'urlquery.encode': text((value) => JSON.stringify(encodeQuery(value))),
  'urlquery.encode_object': (_, object) => jsonText(encodeQueryObject(object)),
}

function text(of: (value: string) => string | undefined): Builtin {
  return (_, term) => (term?.kind === 'string' ? of(term.value) : undefined)
}

function texts(of: (a: string, b: string) => string | undefined): Builtin {
  return (_, a, b) => (a?.kind === 'string' && b?.kind === 'string' ? of(a.value, b.value) : undefined)
}

function jsonText(value: string | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value)
}

/** Bytes that are no UTF-8 have no exact counterpart here: undefined instead of something else than they were. */
function decodeHex(value: string): string | undefined {
  return value.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(value) ? jsonText(utf8(Buffer.from(value, 'hex'))) : undefined
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** Every place, overlapping ones too, counted in code points. */
function indexOfAll(value: string, part: string): string | undefined {
  if (part === '') return undefined
  const places: number[] = []
  let counted = 0
  let points = 0
  for (let at = value.indexOf(part); at !== -1; at = value.indexOf(part, at + 1)) {
    for (; counted < at; counted++) if (!isTrail(value.charCodeAt(counted))) points++
    places.push(points)
  }
  return JSON.stringify(places)
}

function isTrail(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

function anyMatch(matches: (value: string, affix: string) => boolean): Builtin {
  return (_, values, affixes) => {
    const searched = strings(values)
    const wanted = strings(affixes)
    if (searched === undefined || wanted === undefined) return undefined
    return String(searched.some((value) => wanted.some((affix) => matches(value, affix))))
  }
}

function strings(term: Term | undefined): readonly string[] | undefined {
  if (term?.kind === 'string') return [term.value]
  if (term?.kind !== 'array' && term?.kind !== 'set') return undefined
  const values = term.items.flatMap((item) => (item.kind === 'string' ? [item.value] : []))
  return values.length === term.items.length ? values : undefined
}

function subset(whole: Term, part: Term): string | undefined {
  if (whole.kind === 'object' && part.kind === 'object') return String(within(whole, part))
  if (whole.kind === 'set' && part.kind === 'set') return String(within(whole, part))
  if (whole.kind !== 'array') return undefined
  if (part.kind === 'array') return String(within(whole, part))
  if (part.kind !== 'set') return undefined
  const there = new Set(whole.items.map(printTerm))
  return String(whole.items.length > 0 && part.items.every((item) => there.has(printTerm(item))))
}

function within(whole: Term, part: Term): boolean {
  if (compareTerms(whole, part) === 0) return true
  if (whole.kind === 'object' && part.kind === 'object') {
    const values = new Map(whole.entries.map(([key, value]) => [printTerm(key), value]))
    return part.entries.every(([key, value]) => {
      const other = values.get(printTerm(key))
      return other !== undefined && within(other, value)
    })
  }
  if (whole.kind === 'set' && part.kind === 'set') {
    const there = new Set(whole.items.map(printTerm))
    return part.items.every((item) => there.has(printTerm(item)))
  }
  return whole.kind === 'array' && part.kind === 'array' && follows(whole.items.map(printTerm), part.items.map(printTerm))
}

/** True when `part` stands somewhere in `whole` without a gap. */
function follows(whole: readonly string[], part: readonly string[]): boolean {
  let start = 0
  let found = 0
  while (found < part.length && start + found < whole.length) {
    if (whole[start + found] === part[found]) found++
    else {
      start++
      found = 0
    }
  }
  return found === part.length
}

function encodeQuery(value: string): string {
  return encodeURIComponent(value)
    .replaceAll('%20', '+')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decodeQuery(value: string): string | undefined {
  const pieces: Buffer[] = []
  let rest = value.replaceAll('+', ' ')
  for (let at = rest.indexOf('%'); at !== -1; at = rest.indexOf('%')) {
    const hex = rest.slice(at + 1, at + 3)
    if (!/^[0-9a-fA-F]{2}$/.test(hex)) return undefined
    pieces.push(Buffer.from(rest.slice(0, at)), Buffer.from(hex, 'hex'))
    rest = rest.slice(at + 3)
  }
  return utf8(Buffer.concat([...pieces, Buffer.from(rest)]))
}

function encodeQueryObject(term: Term | undefined): string | undefined {
  if (term?.kind !== 'object') return undefined
  const pairs: string[] = []
  for (const [key, value] of [...term.entries].sort(([a], [b]) => compareTerms(a, b))) {
    const values = strings(value)
    if (key.kind !== 'string' || values === undefined) return undefined
    for (const one of values) pairs.push(`${encodeQuery(key.value)}=${encodeQuery(one)}`)
  }
  return pairs.join('&')
}

function decodeQueryObject(value: string): string | undefined {
  const object = new Map<string, string[]>()
  for (const pair of value.split('&').filter((piece) => piece !== '')) {
    if (pair.includes(';')) return undefined
    const equals = pair.indexOf('=')
    const key = decodeQuery(equals === -1 ? pair : pair.slice(0, equals))
    const one = equals === -1 ? '' : decodeQuery(pair.slice(equals + 1))
    if (key === undefined || one === undefined) return undefined
    const values = object.get(key)
    if (values === undefined) object.set(key, [one])
    else values.push(one)
  }
  return `{${[...object].map(([key, values]) => `${JSON.stringify(key)}:${JSON.stringify(values)}`).join(',')}}`
}
