/** The programs that peers are, and what peers are told. */

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Callers } from './callers.ts'
import { start, type Bench, type Started } from './started.ts'
import { root } from './targets.ts'

/** What peers are told of the run. */
export interface Setting {
  readonly bench: Bench
  /** Port of the upstream. */
  readonly upstream: number
  readonly callers: Callers
  /** Countersign's own policy input of a call of each method: what OPA is told of it. */
  readonly inputs: Readonly<Record<string, unknown>>
}

/** A program of ours in `.engines/bin`, or of that name on the PATH; null when there is neither. */
export function program(name: string): string | null {
  const places = [join(root, '.engines/bin'), ...(process.env['PATH'] ?? '').split(delimiter)]
  return places.map((place) => join(place, name)).find((file) => existsSync(file)) ?? null
}

/** One worker, and no sharing of names with the other Envoys of the run. */
export async function runEnvoy(bench: Bench, name: string, port: number, conf: string): Promise<Started | null> {
  const binary = program('envoy')
  if (binary === null) return null
  const words = [binary, '-c', conf, '--concurrency', '1', '--log-level', 'error', '--use-dynamic-base-id']
  return start(bench, name, bench.proxyCore, port, words)
}
