import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

/** What a command is given: its words, the environment and its streams. Only main.ts takes them from the process. */
export interface Invocation {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** Calls back on each SIGHUP. */
  readonly onHangup: (listener: () => void) => void
  /** Of the package. */
  readonly version: string
}

/** Exit codes, the same for every command (sysexits where one fits). */
export const exit = { ok: 0, findings: 1, usage: 64, unavailable: 69, internal: 70, config: 78 } as const

export interface Command {
  /** The whole help text. */
  readonly usage: string
  /** The help text of the verb that these words begin with; null when they begin with none. */
  usageOf?(args: readonly string[]): Promise<string | null>
  run(invocation: Invocation): Promise<number>
}

/** A mistake in how a command was called; main prints it with the usage and exits 64. */
export class UsageFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UsageFault'
  }
}

/** Parses a command's words by `node:util` rules. Throws `UsageFault`. */
export function parseWords<const T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageFault(error instanceof Error ? error.message : String(error))
  }
}

/** True when output may be coloured: a terminal and no NO_COLOR, or a FORCE_COLOR that is not 0. */
export function mayColour(invocation: Pick<Invocation, 'env' | 'stdout'>): boolean {
  if (invocation.env['NO_COLOR']) return false
  const forced = invocation.env['FORCE_COLOR']
  if (forced) return forced !== '0' && forced !== 'false'
  return invocation.stdout.isTTY === true
}
