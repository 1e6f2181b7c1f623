/** Searching, counting, cutting and formatting texts. */

import { sprintf } from '../sprintf.ts'
import { int64, stringsOf, withText, withTexts } from './argument.ts'
import type { Builtin } from './builtin.ts'

export const textBuiltins: Readonly<Record<string, Builtin>> = {
  'glob.quote_meta': withText((value) => JSON.stringify(value.replace(/[*?\\[\]{}]/g, '\\$&'))),
  indexof_n: withTexts(indexOfAll),
  sprintf: (_, format, values) =>
    format?.kind === 'string' && values?.kind === 'array' ? JSON.stringify(sprintf(format.value, values.items)) : undefined,
  'strings.any_prefix_match': anyMatch((value, length) => value.slice(0, length)),
  'strings.any_suffix_match': anyMatch((value, length) => value.slice(value.length - length)),
  'strings.count': withTexts((value, part) => String(part === '' ? Array.from(value).length + 1 : value.split(part).length - 1)),
  'strings.split_n': (_, value, delimiter, count) => {
    const n = int64(count)
    if (value?.kind !== 'string' || delimiter?.kind !== 'string' || n === undefined) return undefined
    return JSON.stringify(splitN(value.value, delimiter.value, Number(n)))
  },
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

/** One look-up per value and length of an affix: many values and many affixes do not multiply. */
function anyMatch(cut: (value: string, length: number) => string): Builtin {
  return (_, values, affixes) => {
    const searched = stringsOf(values)
    const wanted = stringsOf(affixes)
    if (searched === undefined || wanted === undefined) return undefined
    const known = new Set(wanted)
    const lengths = [...new Set(wanted.map((affix) => affix.length))]
    return String(searched.some((value) => lengths.some((length) => length <= value.length && known.has(cut(value, length)))))
  }
}

/** The first `n` pieces; the last `-n` when it is negative. */
function splitN(value: string, delimiter: string, n: number): readonly string[] {
  const pieces = delimiter === '' ? Array.from(value) : value.split(delimiter)
  return n < 0 ? pieces.slice(n) : pieces.slice(0, n)
}
