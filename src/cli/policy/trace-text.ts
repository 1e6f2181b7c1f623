import type { Trace } from '../../author/trace.ts'
import { printable } from './table.ts'

const mostShown = 160

/** The lines of each file, with whether they held. */
export function traceText(trace: Trace): string {
  let out = ''
  for (const [file, lines] of trace) {
    out += `\n${printable(file)}\n`
    for (const { line, text, held, values } of lines) {
      out += `  ${String(line).padStart(4)} ${held ? '✓' : '✗'} ${printable(text)}\n`
      for (const [name, value] of Object.entries(values))
        out += `           ${name} = ${printable(JSON.stringify(value) ?? '').slice(0, mostShown)}\n`
    }
  }
  return out
}
