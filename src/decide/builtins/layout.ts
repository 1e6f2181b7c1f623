/** Layouts of time: the moment 2006-01-02 15:04:05.000 -0700 MST, written the way that the text should be. */

/** One element, or text that stands for itself. */
export interface Chunk {
  readonly element: string | null
  readonly literal: string
}

const elements = new RegExp(
  [
    'January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST',
    '0[1-6]|002|15|1|2006|2|_2(?!006)|__2|3|4|5|PM|pm',
    '[-Z]070000|[-Z]07:00:00|[-Z]0700|[-Z]07:00|[-Z]07',
    '[.,]0+(?!\\d)|[.,]9+(?!\\d)',
  ].join('|'),
  'g',
)

const named: Readonly<Record<string, string>> = {
  ANSIC: 'Mon Jan _2 15:04:05 2006',
  UnixDate: 'Mon Jan _2 15:04:05 MST 2006',
  RubyDate: 'Mon Jan 02 15:04:05 -0700 2006',
  RFC822: '02 Jan 06 15:04 MST',
  RFC822Z: '02 Jan 06 15:04 -0700',
  RFC850: 'Monday, 02-Jan-06 15:04:05 MST',
  RFC1123: 'Mon, 02 Jan 2006 15:04:05 MST',
  RFC1123Z: 'Mon, 02 Jan 2006 15:04:05 -0700',
  RFC3339: '2006-01-02T15:04:05Z07:00',
  RFC3339Nano: '2006-01-02T15:04:05.999999999Z07:00',
}

/** Takes a layout, or the name of a usual one, apart. */
export function readLayout(layout: string): readonly Chunk[] {
  const text = Object.hasOwn(named, layout) ? (named[layout] ?? '') : layout
  const chunks: Chunk[] = []
  let end = 0
  for (const { 0: element, index } of text.matchAll(elements)) {
    if (index > end) chunks.push({ element: null, literal: text.slice(end, index) })
    chunks.push({ element, literal: element })
    end = index + element.length
  }
  if (end < text.length) chunks.push({ element: null, literal: text.slice(end) })
  return chunks
}

export const months = 'January February March April May June July August September October November December'.split(' ')
export const weekdays = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')
