/** The form of a kill file: one kill a line, so that it can be written with `echo` when nothing else works. */
import type { KillRow } from '../state/kills.ts'
import { readStop } from './name.ts'

/** One line that says what to stop. */
export interface KillLine extends Pick<KillRow, 'scope' | 'name'> {
  /** What follows on the line; empty when nothing does. */
  readonly reason: string
}

export interface KillLines {
  readonly stops: readonly KillLine[]
  /** What could not be read, by line, from 1 on. */
  readonly faults: readonly string[]
}

/** A line: a scope, a name but for everything, and why. A name with blanks stands in JSON quotes. */
const form = /^\s*(\S+)(?:\s+(.*?))?\s*$/
const quoted = /^("(?:[^"\\]|\\.)*")(?:\s+(.*))?$/
const bare = /^(\S+)(?:\s+(.*))?$/

/**
 * Reads `SCOPE NAME reason…` and `everything reason…`; empty lines and those that begin with `#` say nothing. Each line stands for
 * itself: what is wrong with one keeps no other from being engaged. `whole`: the last line is read although no line end follows it.
 */
export function readKillLines(text: string, whole: boolean): KillLines {
  const stops: KillLine[] = []
  const faults: string[] = []
  const lines = text.replace(/^\u{FEFF}/u, '').split(/\r?\n/)
  const last = lines.length - 1
  for (const [at, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line) || (at === last && !whole)) continue
    const read = readLine(line)
    if ('fault' in read) faults.push(`line ${at + 1}: ${read.fault}`)
    else stops.push(read)
  }
  return { stops, faults }
}

function readLine(line: string): KillLine | { readonly fault: string } {
  const [, scope, rest = ''] = form.exec(line) ?? []
  if (scope === 'everything') return { scope, name: null, reason: clean(rest) }
  const [, word, reason = ''] = (rest.startsWith('"') ? quoted : bare).exec(rest) ?? []
  const stop = readStop(scope, word === undefined ? undefined : unquoted(word))
  return 'fault' in stop ? stop : { ...stop, reason: clean(reason) }
}

function unquoted(word: string): string | undefined {
  if (!word.startsWith('"')) return word
  try {
    return String(JSON.parse(word))
  } catch {
    return undefined
  }
}

/** One line of at most 500 characters, with or without the `#` that comments begin with. */
function clean(text: string): string {
  return text
    .replace(/^[#:-]\s*/, '')
    .replaceAll(/\p{C}/gu, '?')
    .slice(0, 500)
}
