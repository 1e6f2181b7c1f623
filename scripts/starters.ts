/** The starters: rules on top of the default policy. Each is formatted, checked, tested, compiled, and holds its recorded cases. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildPolicy, plainly } from '../src/author/build.ts'
import { policyData } from '../src/config/policy-data.ts'
import { loadConfig } from '../src/config/load.ts'
import { readBundle } from '../src/decide/bundle/bundle.ts'
import type { Entrypoint } from '../src/decide/engine.ts'
import { openPolicy } from '../src/decide/module.ts'

/** Runs the compiler in a folder and gives what it printed; throws the complaint when it fails. */
export type Compiler = (args: readonly string[], complaint: string, cwd: string) => string

/** A recorded call and what must come of it. */
interface Case {
  readonly name: string
  readonly entrypoint: Entrypoint
  readonly input: unknown
  readonly expect: { readonly effect: string; readonly rules: readonly string[] }
}

/** Checks every starter under `rego`; throws at the first that does not hold. Nothing is written. */
export function checkStarters(rego: string, opa: string, compiler: Compiler): void {
  for (const name of readdirSync(join(rego, 'starters')).sort()) {
    const folder = join(rego, 'starters', name)
    test(name, folder, rego, compiler)
    const cases = hold(folder, buildPolicy([folder], plainly, opa).bytes)
    console.log(`policy: starter ${name} is formatted, checked, tested, compiled, and holds ${cases} cases`)
  }
}

/** Its own tests alone: rules that say no more often break those of the default policy, as they should. */
function test(name: string, folder: string, rego: string, compiler: Compiler): void {
  const policy = join(folder, 'policy')
  compiler(['fmt', '--fail', '--list', policy], `starter ${name} is not formatted: run \`opa fmt -w ${policy}\``, rego)
  compiler(['check', '--strict', '--schema', 'schemas', 'countersign', policy], `starter ${name} does not pass the strict check`, rego)
  const own = `^data[.](countersign[.]${name.replaceAll('-', '_')}_test|system[.])`
  const tested = compiler(
    ['test', '--coverage', '--format', 'json', '--run', own, 'countersign', policy],
    `a test of the starter ${name} failed`,
    rego,
  )
  const files: Readonly<Record<string, { readonly not_covered?: unknown }>> = JSON.parse(tested).files
  const bare = Object.entries(files).filter(([path, { not_covered: left }]) => path.includes(`starters/${name}/`) && left !== undefined)
  if (bare.length > 0) throw new Error(`a line is not covered: ${bare.map(([path]) => path).join(', ')}`)
}

/** Judges the cases with the settings of the starter's configuration and with none: they must not hang on a setting. */
function hold(folder: string, bytes: Uint8Array): number {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const clock = (): number => Date.UTC(2026, 10, 2)
  const { settings } = loadConfig(join(folder, 'countersign.yaml'), { MODEL_KEY: 'none' }).config.decide
  const files = existsSync(join(folder, 'cases')) ? readdirSync(join(folder, 'cases')) : []
  for (const set of [{}, settings === undefined ? {} : { settings: policyData(settings, clock()) }]) {
    const host = openPolicy(readBundle(bytes), { clock, log, ...set })
    try {
      for (const file of files) {
        const one: Case = JSON.parse(readFileSync(join(folder, 'cases', file), 'utf8'))
        const said = spoken(host.evaluate(one.entrypoint, JSON.stringify(one.input)))
        const wanted = `${one.expect.effect} ${one.expect.rules.toSorted().join(' ')}`
        if (said !== wanted) throw new Error(`${join(folder, 'cases', file)}: "${said}" instead of "${wanted}"`)
      }
    } finally {
      host.close()
    }
  }
  return files.length
}

function spoken(decision: unknown): string {
  const { effect, reasons }: { readonly effect: string; readonly reasons: readonly { readonly rule: string }[] } = Object(decision)
  return `${effect} ${reasons
    .map(({ rule }) => rule)
    .sort()
    .join(' ')}`
}
