import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readTar } from '../../src/decide/bundle/tar.ts'
import { PolicyInstance } from '../../src/decide/instance.ts'

// The policy language's own cases, compiled with our capabilities and evaluated by our host. They come with the source of the compiler:
// from OPA_CASES (the folder testdata/v1), or from Go's module cache, where installing the compiler left them. Without them nothing is
// tested here. Cases that ask for what the host refuses do not compile, and are counted.

const root = new URL('../..', import.meta.url).pathname
const opa = join(root, '.engines/bin/opa')
const folder = casesFolder()
const compile = promisify(execFile)

/** Cases in which the compiled engine differs from the interpreter. None of them comes from the host. */
const accepted: readonly RegExp[] = [
  // Integers beyond 64 bits, and exponents that only the interpreter calls too large.
  /bignum/,
  /unmarshal number (?:with too big an|beyond the supported) exponent/,
  // Data under a key that is a number.
  /^data\/(?:nested|toplevel) integer/,
]

let scratch = ''

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-cases-'))
})

afterAll(() => rmSync(scratch, { recursive: true }))

describe.skipIf(folder === null)('the cases of the policy language, in our host', () => {
  it('pass, but for those that the compiled engine itself answers otherwise', { timeout: 900_000 }, async () => {
    const cases = readCases(folder ?? '')
    const outcomes: Outcome[] = []
    const queue = [...cases.entries()]
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop())
        outcomes.push(await judge(next[1], join(scratch, String(next[0]))))
    }
    await Promise.all(Array.from({ length: availableParallelism() }, work))
    const failed = outcomes.filter(({ kind }) => kind === 'failed')
    const count = (kind: Outcome['kind']): number => outcomes.filter((outcome) => outcome.kind === kind).length
    console.log(
      `cases of the language: ${count('passed')} passed, ${failed.length} differ as accepted, ${count('refused')} ask for what is refused, ${count('other')} cannot be asked`,
    )
    expect(count('passed')).toBeGreaterThan(1500)
    expect(failed.filter(({ note }) => !accepted.some((known) => known.test(note)))).toEqual([])
  })
})

interface Case {
  readonly note: string
  readonly query: string
  readonly modules?: readonly string[]
  readonly data?: unknown
  readonly input?: unknown
  readonly input_term?: string
  readonly want_result?: readonly unknown[]
  readonly want_error?: string
  readonly want_error_code?: string
}

interface Outcome {
  readonly note: string
  readonly kind: 'passed' | 'failed' | 'refused' | 'other'
  readonly got?: unknown
}

function casesFolder(): string | null {
  const given = process.env['OPA_CASES']
  if (given !== undefined) return given
  if (!existsSync(opa) || spawnSync('go', ['version']).status !== 0) return null
  const version = /^Version: (\S+)$/m.exec(execFileSync(opa, ['version'], { encoding: 'utf8' }))?.[1] ?? ''
  const cache = execFileSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8' }).trim()
  const cases = join(cache, `github.com/open-policy-agent/opa@v${version}/v1/test/cases/testdata/v1`)
  return existsSync(cases) ? cases : null
}

function readCases(from: string): readonly Case[] {
  const files = readdirSync(from, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'))
  return files.sort().flatMap((name): readonly Case[] => parse(readFileSync(join(from, name), 'utf8')).cases)
}

async function judge(one: Case, place: string): Promise<Outcome> {
  const { note, modules = [] } = one
  const rule = /^data\.([\w.]+) = x$/.exec(one.query)?.[1]
  if (rule === undefined || modules.length === 0 || one.input_term !== undefined) return { note, kind: 'other' }
  const entrypoint = rule.replaceAll('.', '/')
  mkdirSync(place)
  const paths = modules.map((_, index) => join(place, `${index}.rego`))
  for (const [index, text] of modules.entries()) writeFileSync(paths[index] ?? '', text)
  const bundle = join(place, 'bundle.tar.gz')
  const flags = ['--target', 'wasm', '--entrypoint', entrypoint, '--output', bundle, '--capabilities', join(root, 'rego/capabilities.json')]
  try {
    await compile(opa, ['build', ...flags, ...paths])
  } catch (error) {
    return { note, kind: /undefined function/.test(`${Object(error).stdout}${Object(error).stderr}`) ? 'refused' : 'other' }
  }
  const files = readTar(gunzipSync(readFileSync(bundle)))
  const got = evaluate(files.get('policy.wasm') ?? files.get('/policy.wasm') ?? new Uint8Array(), entrypoint, one)
  rmSync(place, { recursive: true })
  const failing = one.want_error !== undefined || one.want_error_code !== undefined
  const wanted = failing ? got === null || got.length === 0 : canonical(got) === canonical(one.want_result ?? [])
  return wanted ? { note, kind: 'passed' } : { note, kind: 'failed', got }
}

/** Null when the evaluation ended. */
function evaluate(wasm: Uint8Array, entrypoint: string, { data = {}, input }: Case): unknown[] | null {
  const module = new WebAssembly.Module(Uint8Array.from(wasm))
  try {
    const bytes = Buffer.from(JSON.stringify(data))
    // No text is no input, which is not the same as an empty one.
    const text = input === undefined ? '' : JSON.stringify(input)
    const instance = new PolicyInstance({
      module,
      data: bytes,
      initialPages: 32,
      maxPages: 1024,
      clock: () => 1000,
      print: () => undefined,
    })
    const results: { result: unknown }[] = JSON.parse(instance.evaluate(instance.entrypoints.get(entrypoint) ?? -1, text))
    return results.map(({ result }) => ({ x: result }))
  } catch {
    return null
  }
}

/** Keys and lists sorted, for sets come out in no order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).sort().join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
  return `{${members.sort().join()}}`
}
