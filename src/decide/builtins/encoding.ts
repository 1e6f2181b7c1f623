/** Text written in other alphabets: hexadecimal, base64 for addresses, form encoding. */

import { compareTerms, type Term } from '../term.ts'
import { stringsOf, withText } from './argument.ts'
import type { Builtin } from './builtin.ts'
import { unescapePercent, utf8 } from './bytes.ts'

export const encodingBuiltins: Readonly<Record<string, Builtin>> = {
  'base64url.encode_no_pad': withText((value) => JSON.stringify(Buffer.from(value).toString('base64url'))),
  'hex.decode': withText(decodeHex),
  'hex.encode': withText((value) => JSON.stringify(Buffer.from(value).toString('hex'))),
  'urlquery.decode': withText((value) => jsonText(decodeQuery(value))),
  'urlquery.decode_object': withText(decodeQueryObject),
  'urlquery.encode': withText((value) => JSON.stringify(encodeQuery(value))),
  'urlquery.encode_object': (_, object) => jsonText(encodeQueryObject(object)),
}

function jsonText(value: string | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value)
}

function decodeHex(value: string): string | undefined {
  return value.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(value) ? JSON.stringify(utf8(Buffer.from(value, 'hex'))) : undefined
}

function encodeQuery(value: string): string {
  return encodeURIComponent(value)
    .replaceAll('%20', '+')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function decodeQuery(value: string): string | undefined {
  return unescapePercent(value.replaceAll('+', ' '))
}

function encodeQueryObject(term: Term | undefined): string | undefined {
  if (term?.kind !== 'object') return undefined
  const pairs: string[] = []
  for (const [key, value] of [...term.entries].sort(([a], [b]) => compareTerms(a, b))) {
    const values = stringsOf(value.kind === 'set' ? { kind: 'array', items: [...value.items].sort(compareTerms) } : value)
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
