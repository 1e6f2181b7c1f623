/** What can be told of a JSON text without parsing it. */

import { JsonFault } from './json-fault.ts'

export interface Scanned {
  /** Colons outside strings: members of all objects together, as they were written. */
  readonly pairs: number
  /** True when a key is spelled with an escape. */
  readonly escapedKeys: boolean
}

/**
 * One look at the text outside its strings: nesting before anything recurses, numbers as they were written,
 * the number of colons, and whether a key is spelled with an escape. What is no JSON at all is left for the parser to refuse.
 */
export function scan(text: string, deepest: number): Scanned {
  let depth = 0
  let pairs = 0
  let string = 0
  let escapedKeys = false
  const escapes = text.includes('\\')
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === 0x22) {
      string = at
      at = endOfString(text, at)
    } else if (unit === 0x3a) {
      pairs++
      // what stands before a colon is a key; the blanks between them hold no backslash
      if (escapes) escapedKeys ||= text.slice(string, at).includes('\\')
      string = at
    } else if (unit === 0x7b || unit === 0x5b) {
      if (++depth > deepest) throw new JsonFault('nested too deeply')
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--
    } else if (unit === 0x2d || (unit >= 0x30 && unit <= 0x39)) {
      const end = endOfNumber(text, at)
      // fifteen digits always fit a double; an exponent may not
      if (end - at > 15 || hasExponent(text, at, end)) checkNumber(text.slice(at, end))
      at = end - 1
    }
  }
  return { pairs, escapedKeys }
}

/** Index of the quote that ends the string begun at `start`: the first one after an even number of backslashes. */
export function endOfString(text: string, start: number): number {
  for (let from = start + 1; ;) {
    const quote = text.indexOf('"', from)
    if (quote === -1) throw new JsonFault('not JSON')
    let before = quote - 1
    while (text.charCodeAt(before) === 0x5c) before--
    if (((quote - 1 - before) & 1) === 0) return quote
    from = quote + 1
  }
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1
  for (; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    const inNumber = (unit >= 0x30 && unit <= 0x39) || unit === 0x2e || unit === 0x65 || unit === 0x45 || unit === 0x2b || unit === 0x2d
    if (!inNumber) break
  }
  return at
}

function hasExponent(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((text.charCodeAt(at) | 0x20) === 0x65) return true
  return false
}

/**
 * Refuses a number that readers with other arithmetic take for another value: an integer beyond 2^53, anything past the largest
 * double, anything that a double rounds to zero, and a fraction or exponent form beyond 2^53 that is not what its double prints.
 */
function checkNumber(written: string): void {
  const value = Number(written)
  if (!Number.isFinite(value)) throw new JsonFault('a number no double can hold')
  if (value === 0 && significand(written) !== '') throw new JsonFault('a number no double can hold')
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return
  const integer = !/[.eE]/.test(written)
  if (integer || significand(written) !== significand(String(value))) throw new JsonFault('an integer beyond 2^53')
}

/** The significant digits of a number as written: no sign, point, exponent, leading or trailing zeros. */
function significand(written: string): string {
  const mantissa = written.split(/[eE]/, 1)[0] ?? ''
  return mantissa.replace(/[-.]/g, '').replace(/^0+|0+$/g, '')
}
