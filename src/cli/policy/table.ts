import { UsageFault, type Invocation } from '../command.ts'

/** Rows as aligned columns, two blanks between; what looks like a number stands to the right. */
export function table(rows: readonly (readonly string[])[], indent = ''): string {
  const widths: number[] = []
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  return rows
    .map((row) => {
      const cells = row.map((cell, at) => (/^[\d,.]+(?: ?%)?$/.test(cell) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      return `${indent}${cells.join('  ')}`.trimEnd()
    })
    .join('\n')
}

/** What came from a record never moves the cursor. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')
}

/** `1204` as `1,204`. */
export function figure(number: number): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

/** The end of a SPIFFE ID, which is what people call an agent. */
export function shortName(id: string): string {
  return printable(id.slice(id.lastIndexOf('/') + 1))
}

/** The value of `-o`. */
export function outputOf(value: string): 'text' | 'json' {
  if (value !== 'text' && value !== 'json') throw new UsageFault('-o takes text or json')
  return value
}

export function writeJson({ stdout }: Pick<Invocation, 'stdout'>, value: unknown): void {
  stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}
