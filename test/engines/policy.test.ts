import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { whyRefused } from '../../src/decide/builtins/refused.ts'
import { builtins } from '../../src/decide/builtins/table.ts'
import type { Entrypoint } from '../../src/decide/engine.ts'
import type { PolicyHost } from '../../src/decide/module.ts'
import { changedInputs, openingInput, ratedInputs } from '../support/policy-inputs.ts'
import { allowedInput, defaultPolicyBytes, openHost } from '../support/policy-rig.ts'

const root = new URL('../..', import.meta.url).pathname
const opa = join(root, '.engines/bin/opa')
const rego = join(root, 'rego')
const fixture = join(root, 'test/conformance/policy/builtins')

let scratch = ''

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-engines-'))
})

afterAll(() => rmSync(scratch, { recursive: true }))

describe('the committed policy', () => {
  it('is formatted, strict, tested in every line, and compiles to the committed bytes', () => {
    const said = execFileSync(process.execPath, [join(root, 'scripts/policy.ts'), '--check'], { encoding: 'utf8', cwd: root })
    expect(said).toContain('coverage 100 %')
    expect(said).toContain('rego/policy.tar.gz is fresh')
    expect(said).toContain('rego/capabilities.json is fresh')
  })

  it('may call what the host lends and nothing that it refuses', () => {
    const { builtins: lent }: { builtins: { name: string }[] } = JSON.parse(readFileSync(join(rego, 'capabilities.json'), 'utf8'))
    const names = new Set(lent.map(({ name }) => name))
    expect(Object.keys(builtins).filter((name) => !names.has(name))).toEqual([])
    for (const refused of ['http.send', 'opa.runtime', 'rand.intn', 'regex.split', 'io.jwt.decode_verify', 'net.lookup_ip_addr'])
      expect(names).not.toContain(refused)
  })

  it('leaves no builtin of the language undecided: each is lent or refused, with a reason', () => {
    const { builtins: lent }: { builtins: { name: string }[] } = JSON.parse(readFileSync(join(rego, 'capabilities.json'), 'utf8'))
    const { builtins: all }: { builtins: { name: string }[] } = JSON.parse(run(['capabilities', '--current']))
    const names = new Set(lent.map(({ name }) => name))
    expect(all.length).toBeGreaterThan(200)
    for (const { name } of all) expect(names.has(name), name).toBe(whyRefused(name) === null)
  })

  it('knows an input by its schema: a misspelled member does not pass the check', () => {
    const source = '# METADATA\n# schemas:\n#   - input: schema.input\npackage typo\n\nx if input.agent.autonomie == "bounded"\n'
    writeFileSync(join(scratch, 'typo.rego'), source)
    expect(() => run(['check', '--strict', '--schema', join(rego, 'schemas'), join(scratch, 'typo.rego')])).toThrow(/undefined ref/)
  })

  it('annotates every rule that can refuse or ask with all that a reason and a catalogue need', () => {
    const rules = annotated()
    expect(rules.length).toBeGreaterThanOrEqual(23)
    for (const { title, description, custom } of rules) {
      expect(custom, title).toMatchObject({
        observable: expect.any(Boolean),
        message: expect.any(String),
        remediation: expect.any(String),
        facts: expect.any(Array),
      })
      expect(custom['id'], title).toMatch(/^[a-z-]+(\.[a-z-]+)?$/)
      expect(['low', 'medium', 'high', 'critical'], title).toContain(custom['severity'])
      expect(['deny', 'ask', 'defer', 'obligate'], title).toContain(custom['effect'])
      expect(description, title).toBeTypeOf('string')
      const frameworks: Record<string, string[]> = Object(custom['frameworks'])
      expect(Object.keys(frameworks), title).toEqual(
        expect.arrayContaining(['owasp_agentic', 'owasp_nhi', 'csa_maestro', 'nist_csf', 'nist_ai_rmf']),
      )
      for (const [framework, ids] of Object.entries(frameworks))
        for (const id of ids) expect(id, `${title}: ${framework}`).toMatch(forms[framework] ?? /$^/)
    }
  })
})

describe('our host and the real engine', () => {
  it('agree on generated calls and tasks', () => {
    const host = openHost(defaultPolicyBytes)
    const calls = fc.sample(fc.oneof(changedInputs(allowedInput()), ratedInputs()), { numRuns: 400, seed: 20_261_122 })
    const effects = compare(host, rego, 'countersign/decision', calls)
    expect(new Set(effects)).toEqual(new Set(['allow', 'ask', 'deny']))
    const tasks = fc.sample(changedInputs(openingInput()), { numRuns: 150, seed: 20_261_122 })
    expect(new Set(compare(host, rego, 'countersign/task', tasks))).toEqual(new Set(['allow', 'deny']))
    expect(host.replaced).toBe(0)
    host.close()
  })

  it('agree on the cases of the builtins', () => {
    const text = readFileSync(join(fixture, '../cases.json'), 'utf8')
    const cases: { call: string; args: unknown[]; gives: unknown[] }[] = JSON.parse(text)
    const results = evaluate(fixture, 'countersign/decision', text)
    expect(results).toEqual(cases.map(({ gives }) => ({ effect: 'deny', gives })))
  })
})

/** Ids as the frameworks write them. */
const forms: Readonly<Record<string, RegExp>> = {
  owasp_agentic: /^ASI(0[1-9]|10)$/,
  owasp_nhi: /^NHI([1-9]|10)$/,
  csa_maestro: /^L[1-7]$/,
  mitre_atlas: /^AML\.(T\d{4}(\.\d{3})?|M\d{4})$/,
  nist_csf: /^(GV|ID|PR|DE|RS)\.[A-Z]{2}-\d{2}$/,
  nist_ai_rmf: /^(GOVERN|MAP|MEASURE|MANAGE) \d\.\d{1,2}$/,
}

interface Annotation {
  readonly title: string
  readonly description: string
  readonly custom: Readonly<Record<string, unknown>>
}

function annotated(): readonly Annotation[] {
  const inspected: { annotations: { annotations: Partial<Annotation> }[] } = JSON.parse(
    run(['inspect', '--annotations', '--format', 'json', join(rego, 'countersign')]),
  )
  return inspected.annotations.flatMap(({ annotations: { title = '', description = '', custom } }) =>
    custom === undefined ? [] : [{ title, description, custom }],
  )
}

/** Judges all inputs by both and compares what they say; gives the effects. */
function compare(host: PolicyHost, folder: string, entrypoint: Entrypoint, inputs: readonly unknown[]): unknown[] {
  const theirs = evaluate(folder, entrypoint, JSON.stringify(inputs))
  expect(theirs).toHaveLength(inputs.length)
  return inputs.map((input, index) => {
    const ours = host.evaluate(entrypoint, JSON.stringify(input))
    expect(canonical(ours), JSON.stringify(input)).toBe(canonical(theirs[index]))
    return Object(ours).effect
  })
}

/** One run of the real engine over a list of inputs. */
function evaluate(folder: string, entrypoint: Entrypoint, inputs: string): unknown[] {
  const batch = join(scratch, 'batch.json')
  writeFileSync(batch, `{"batch":${inputs}}`)
  const query = `[result | some one in data.batch; result := data.${entrypoint.replace('/', '.')} with input as one]`
  return JSON.parse(run(['eval', '--format', 'raw', '--data', join(folder, 'countersign'), '--data', batch, query]))
}

function run(args: readonly string[]): string {
  return execFileSync(opa, args, { encoding: 'utf8', cwd: root, maxBuffer: 256 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Keys sorted; reasons too, for a set has no order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (Array.isArray(inner) && key === 'reasons') return inner.map((item) => canonical(item)).sort()
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
