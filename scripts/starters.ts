/** The starters: rules on top of the default policy. Each is formatted, checked, tested, compiled, and holds its recorded cases. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildPolicy, plainly } from '../src/author/build.ts'
import { openCandidate } from '../src/author/candidate.ts'
import { readCases, runCase } from '../src/author/cases.ts'
import { policyData } from '../src/config/policy-data.ts'
import { loadConfig } from '../src/config/load.ts'

/** Runs the compiler in a folder and gives what it printed; throws the complaint when it fails. */
export type Compiler = (args: readonly string[], complaint: string, cwd: string) => string

/** Checks every starter under `rego`; throws at the first that does not hold. Nothing is written. */
export function checkStarters(rego: string, opa: string, compiler: Compiler): void {
  for (const name of readdirSync(join(rego, 'starters')).sort()) {
    const folder = join(rego, 'starters', name)
    test(name, folder, rego, compiler)
    const cases = hold(name, folder, buildPolicy([folder], plainly, opa).bytes)
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
function hold(name: string, folder: string, bytes: Uint8Array): number {
  const { settings } = loadConfig(join(folder, 'countersign.yaml'), { MODEL_KEY: 'none' }).config.decide
  const { cases } = readCases([join(folder, 'cases')])
  for (const set of [undefined, settings === undefined ? undefined : policyData(settings, Date.UTC(2026, 10, 2))]) {
    const candidate = openCandidate({ name, bytes }, {}, set)
    try {
      const wrong = cases.map((one) => runCase(one, candidate)).find(({ ok }) => !ok)
      if (wrong !== undefined) throw new Error(`${wrong.file}: ${wrong.differences.join('; ')}`)
    } finally {
      candidate.close()
    }
  }
  return cases.length
}
