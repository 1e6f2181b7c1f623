/** Runs the Rego tests of a policy twice: by opa, and compiled through the host that judges in production. Both must pass them. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildFlags } from './build.ts'
import { filesInBundle } from './bundle-files.ts'
import { inOrigins, withSources, type Composition } from './compose.ts'
import { isRecord, textAt, valueAt } from './json-path.ts'
import { AuthorFault, runOpa } from './opa.ts'
import { leaveOut } from './rego-leave-out.ts'
import { readModule } from './rego-text.ts'
import { PolicyInstance, type Mould } from '../decide/instance.ts'

/** How a test ended in one of the two. */
export type TestEnd = 'pass' | 'fail' | 'error' | 'skipped' | 'not compiled'

export interface RegoTest {
  /** `countersign.call_test.test_x`, as opa names it. */
  readonly name: string
  readonly file: string
  readonly line: number
  readonly opa: TestEnd
  readonly host: TestEnd
  /** Both passed it, or it is marked as one for later. */
  readonly ok: boolean
  /** Why not; empty when there is nothing to say. */
  readonly why: string
}

export interface RegoTestRun {
  readonly tests: readonly RegoTest[]
  /** Of the author's own rules, per cent of their lines; null when a test failed, for opa measures nothing then. */
  readonly coverage: number | null
  /** `file:line` of what no test reaches. */
  readonly uncovered: readonly string[]
}

/** Runs the tests that lie in the folders; those of the library are only there to be used by them. Throws AuthorFault. */
export function runRegoTests(folders: readonly string[], library: boolean | null, opa: string): RegoTestRun {
  return withSources(folders, { library, tests: true, metadata: {} }, (composed) => {
    const own = composed.own.filter((path) => path.endsWith('_test.rego'))
    if (own.length === 0) return { tests: [], coverage: null, uncovered: [] }
    const packages = [...new Set(own.map((path) => readModule(readFileSync(join(composed.folder, path), 'utf8')).package))]
    const filter = ['--run', `^data[.](${packages.map((name) => name.replaceAll('.', '[.]')).join('|')})[.[]`]
    const told = byOpa(composed, filter, opa).filter(({ file }) => own.includes(file))
    const covered = told.every(({ end }) => end === 'pass' || end === 'skipped') ? coverage(composed, filter, opa) : null
    // what cannot be compiled is taken out of the sources, so this comes last
    const inHost = byHost(composed, told, opa)
    const tests = told.map((one) => compared(one, inHost(one), composed))
    return { tests, coverage: covered?.share ?? null, uncovered: covered?.missing ?? [] }
  })
}

interface Told {
  readonly package: string
  readonly name: string
  readonly file: string
  readonly line: number
  readonly end: TestEnd
  readonly why: string
  /** Of a test with cases. */
  readonly cases: readonly string[]
  readonly endless: boolean
}

function byOpa(composed: Composition, filter: readonly string[], opa: string): readonly Told[] {
  const { stdout, stderr } = runOpa(opa, ['test', '--format', 'json', ...filter, '.'], composed.folder)
  const found = parsed(stdout)
  if (!Array.isArray(found)) throw new AuthorFault(`the tests do not compile:\n${inOrigins(composed, `${stdout}${stderr}`.trim())}`)
  return found.map((one: unknown): Told => {
    const error = valueAt(one, 'error')
    const at = (place: string): boolean => valueAt(one, place) === true
    return {
      package: textAt(one, 'package').replace(/^data\./, ''),
      name: textAt(one, 'name'),
      file: textAt(one, 'location.file'),
      line: Number(valueAt(one, 'location.row') ?? 0),
      end: at('skip') ? 'skipped' : error === undefined ? (at('fail') ? 'fail' : 'pass') : 'error',
      why: textAt(error, 'message'),
      cases: Object.keys(Object(valueAt(one, 'sub_results'))).sort(),
      endless: textAt(error, 'code') === 'eval_cancel_error',
    }
  })
}

type Ended = Pick<RegoTest, 'why'> & { readonly end: TestEnd }

/** Compiles every test as an entrypoint and gives what the host makes of each. */
function byHost(composed: Composition, told: readonly Told[], opa: string): (one: Told) => Ended {
  const out = leaveOut(composed, opa)
  const placeOf = (one: Told): string => `${one.package.replaceAll('.', '/')}/${one.name.replace(/#\d+$/, '')}`
  const wanted = told.filter((one) => one.end !== 'skipped' && !one.endless && !out.has(placeOf(one)))
  const mould = compiled(composed, [...new Set(wanted.map(placeOf))], opa)
  let instance = mould === null ? null : new PolicyInstance(mould)
  return (one) => {
    const place = placeOf(one)
    const left = out.get(place)
    if (left !== undefined) return { end: 'not compiled', why: left }
    if (one.end === 'skipped') return { end: 'skipped', why: '' }
    if (one.endless || mould === null) return { end: 'error', why: 'it takes too long' }
    instance ??= new PolicyInstance(mould)
    try {
      return { end: passes(parsed(instance.evaluate(instance.entrypoints.get(place) ?? -1, 'null')), one) ? 'pass' : 'fail', why: '' }
    } catch (error) {
      // whatever was thrown left the instance unusable
      instance = null
      return { end: 'error', why: error instanceof Error ? error.message : 'it threw' }
    }
  }
}

/** What comes with the hour must not come out otherwise tomorrow: 2026-11-02, the hour that the clock of tests stands at. */
const moment = Date.UTC(2026, 10, 2)

function compiled(composed: Composition, entrypoints: readonly string[], opa: string): Mould | null {
  if (entrypoints.length === 0) return null
  const named = entrypoints.flatMap((entrypoint) => ['--entrypoint', entrypoint])
  // otherwise whatever asks for an entrypoint of the policy becomes one too, functions among them, which cannot
  const target = join(composed.scratch, 'tests.tar.gz')
  const said = runOpa(opa, ['build', ...buildFlags, '--prune-unused', ...named, '--output', target], composed.folder)
  if (!said.ok)
    throw new AuthorFault(`the tests do not compile for the host:\n${inOrigins(composed, `${said.stdout}${said.stderr}`.trim())}`)
  const files = filesInBundle(readFileSync(target))
  const wasm = files.get('policy.wasm') ?? new Uint8Array()
  const data = files.get('data.json') ?? Buffer.from('{}')
  return {
    module: new WebAssembly.Module(Buffer.from(wasm)),
    data,
    initialPages: 32,
    maxPages: 1024,
    clock: () => moment,
    print: () => undefined,
  }
}

/** As opa has it: defined, and not false. A test with cases is an object of them, each of which must be true. */
function passes(results: unknown, { cases }: Told): boolean {
  const first: unknown = Array.isArray(results) ? results[0] : undefined
  if (!isRecord(first) || first['result'] === false) return false
  const { result } = first
  return cases.length === 0 || (isRecord(result) && cases.every((name) => allTrue(result[name])))
}

function allTrue(value: unknown): boolean {
  return isRecord(value) ? Object.values(value).every(allTrue) : value === true
}

function compared(one: Told, host: Ended, { origins }: Composition): RegoTest {
  const ok = one.end === 'skipped' || (one.end === 'pass' && host.end === 'pass')
  const twice = one.name.includes('#')
  const apart = !twice && (one.end === 'pass') !== (host.end === 'pass')
  const whys = [
    twice ? 'another test has this name, and the host cannot tell them apart: rename one' : '',
    apart && host.end !== 'not compiled' ? 'opa and the host do not agree' : '',
    one.why,
    host.why === one.why ? '' : host.why,
  ]
  return {
    name: `${one.package}.${one.name}`,
    file: origins.get(one.file) ?? one.file,
    line: one.line,
    opa: one.end,
    host: host.end,
    ok,
    why: ok ? '' : whys.filter((why) => why !== '').join('; '),
  }
}

function coverage(
  { folder, own, origins }: Composition,
  filter: readonly string[],
  opa: string,
): { share: number; missing: string[] } | null {
  const report = parsed(runOpa(opa, ['test', '--coverage', '--format', 'json', ...filter, '.'], folder).stdout)
  const files = valueAt(report, 'files')
  if (!isRecord(files)) return null
  let [covered, all] = [0, 0]
  const missing: string[] = []
  for (const path of own.filter((one) => one.endsWith('.rego') && !one.endsWith('_test.rego'))) {
    const file = files[path]
    const reached = Number(valueAt(file, 'covered_lines') ?? 0)
    const not = Number(valueAt(file, 'not_covered_lines') ?? 0)
    covered += reached
    all += reached + not
    const ranges = valueAt(file, 'not_covered')
    for (const range of Array.isArray(ranges) ? ranges : []) missing.push(`${origins.get(path)}:${Number(valueAt(range, 'start.row'))}`)
  }
  return { share: all === 0 ? 100 : Math.round((covered / all) * 1000) / 10, missing }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
