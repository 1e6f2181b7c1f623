/** Rego source cut into its statements, without a parser: what begins in the first column begins a statement. */

/** One rule, function or default, with the annotation before it. */
export interface Statement {
  /** What it defines; empty when that cannot be seen. */
  readonly name: string
  /** The statement without comments, on one line. */
  readonly text: string
  /** YAML of the METADATA block before it; null when there is none. */
  readonly metadata: string | null
  /** Of its first line, from 1. */
  readonly line: number
}

export interface RegoModule {
  /** Such as `countersign.call`. */
  readonly package: string
  readonly statements: readonly Statement[]
}

/** Cuts a source as `opa fmt` writes it. Text that is no Rego gives odd statements, never an error. */
export function readModule(source: string): RegoModule {
  let name = ''
  const statements: Statement[] = []
  let metadata: string[] | null = null
  let annotating = false
  let open: { line: number; metadata: string | null; lines: string[] } | null = null
  const close = (): void => {
    if (open !== null) statements.push(statementOf(open))
    open = null
  }
  for (const [index, line] of source.split(/\r?\n/).entries()) {
    const comment = /^\s*#(.*)$/.exec(line)?.[1]
    if (comment !== undefined) {
      if (comment.trim() === 'METADATA') {
        metadata = []
        annotating = true
      } else if (annotating) metadata?.push(comment.replace(/^ /, ''))
      continue
    }
    // a comment further down is no part of the annotation
    annotating = false
    if (line.trim() === '') continue
    if (/^[^\s})\]]/.test(line)) {
      close()
      const declared = /^package\s+([\w.]+)/.exec(line)?.[1]
      if (declared !== undefined) name = declared
      else if (!/^import\s/.test(line)) open = { line: index + 1, metadata: metadata?.join('\n') ?? null, lines: [line] }
      metadata = null
    } else open?.lines.push(line)
  }
  close()
  return { package: name, statements }
}

function statementOf(open: { readonly line: number; readonly metadata: string | null; readonly lines: readonly string[] }): Statement {
  const text = open.lines
    .map((line) => withoutComment(line).trim())
    .filter((line) => line !== '')
    .join(' ')
  return { name: /^(?:default\s+)?([\w.]+)/.exec(text)?.[1] ?? '', text, metadata: open.metadata, line: open.line }
}

/** A `#` outside of a string begins a comment. */
function withoutComment(line: string): string {
  if (!line.includes('#')) return line
  let quote = ''
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at)
    if (quote === '"' && char === '\\') at++
    else if (quote !== '') quote = char === quote ? '' : quote
    else if (char === '"' || char === '`') quote = char
    else if (char === '#') return line.slice(0, at)
  }
  return line
}
