import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtins } from '../../src/decide/builtins.ts'
import type { Entrypoint } from '../../src/decide/engine.ts'
import type { PolicyHost } from '../../src/decide/module.ts'
import { allowedInput, builtinsPolicyBytes, defaultPolicyBytes, openHost } from '../support/policy-rig.ts'

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
    for (const refused of ['http.send', 'opa.runtime', 'rand.intn', 'regex.split', 'io.jwt.decode', 'net.lookup_ip_addr'])
      expect(names).not.toContain(refused)
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
      expect(['deny', 'ask'], title).toContain(custom['effect'])
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

  it('agree on generated formats and texts', () => {
    const host = openHost(builtinsPolicyBytes)
    compare(host, fixture, 'countersign/decision', fc.sample(builtinCalls(), { numRuns: 1500, seed: 20_261_122 }))
    expect(host.replaced).toBe(0)
    host.close()
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

/** An input with up to three of its leaves changed to another of the words that rules know, or gone. */
function changedInputs(input: object): fc.Arbitrary<unknown> {
  const words = [
    'supervised',
    'autonomous',
    'medium',
    'high',
    'critical',
    'write',
    'send',
    'partner',
    'public',
    'mail.send',
    'customer:7',
    'order:8',
    'stream',
    'json',
    '',
  ]
  const other = fc.oneof(
    fc.constantFrom<unknown>(...words),
    fc.constantFrom<unknown>(null, true, false, 0, 1, 10, 2.5, -1, 1e6, 9_007_199_254_740_991),
    fc.constantFrom<unknown>([], ['public'], ['personal', 'internal'], ['*'], {}, { calls: 1 }, { eur: 5 }),
    fc.constant<unknown>(undefined),
  )
  const one = fc.tuple(fc.constantFrom(...pathsOf(input)), other)
  return fc.array(one, { maxLength: 3 }).map((changes) => {
    const copy = structuredClone(input)
    for (const [path, value] of changes) change(copy, path, structuredClone(value))
    return copy
  })
}

function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path]
  return [...(path.length > 0 ? [path] : []), ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

function change(target: object, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  const inner: unknown = Reflect.get(target, key)
  if (rest.length === 0) Reflect.set(target, key, value)
  else if (typeof inner === 'object' && inner !== null) change(inner, rest, value)
}

/** Inputs that only differ in how much an agent may do and how much is at stake. */
function ratedInputs(): fc.Arbitrary<unknown> {
  return fc
    .tuple(
      fc.constantFrom('supervised', 'bounded', 'autonomous', 'other'),
      fc.constantFrom('low', 'medium', 'high', 'critical', 'other'),
      fc.constantFrom('read', 'write', 'unknown', 'other'),
      fc.constantFrom('none', 'json', 'stream'),
      fc.boolean(),
    )
    .map(([autonomy, risk, effect, kind, judged]) => {
      const input = allowedInput()
      change(input, ['agent', 'autonomy'], autonomy)
      change(input, ['tool', 'risk'], risk)
      change(input, ['tool', 'effect'], effect)
      change(input, ['request', 'body'], { kind, judged, size: null, sha256: null })
      return input
    })
}

function openingInput(): object {
  const { v, caller, agent, context } = allowedInput()
  const intent = {
    tools: ['crm.*', 'mail.send'],
    resources: ['customer:*'],
    data: ['internal', 'personal'],
    egress: ['internal', 'partner'],
    budget: { calls: 5, eur: 100 },
  }
  return {
    v,
    action: 'open',
    caller,
    agent: { ...Object(agent), ttl: 60_000, intent },
    task: { intent: { purpose: 'one refund', prompt: null, ...intent, tools: ['crm.customer.read'] }, ttl: 60_000 },
    context,
  }
}

function builtinCalls(): fc.Arbitrary<unknown> {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'ab', 'é', '😀', ' ', '&', '=', '%', '+', '%41', '"', '\\', '\n', '0', 'f') })
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 2, withCrossShrink: true },
      text,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e9, max: 1e9 }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(text, tie('value'), { maxKeys: 3 }),
      fc.array(fc.oneof(fc.integer({ min: -9, max: 20 }), text), { maxLength: 4 }).map((set) => ({ set })),
    ),
  })).value
  // Bytes that are no UTF-8 are a text to the real engine; the host says undefined.
  const ascii = text.filter((one) => !/%[89a-f]/i.test(one))
  const directive = fc
    .tuple(
      fc.constantFrom('', '#', '+', '-', '0', ' ', '+0', '-0', '# ', '[1]', '[2]'),
      fc.constantFrom('', '1', '6', '12', '*'),
      fc.constantFrom('', '.', '.0', '.3', '.*'),
      fc.constantFrom('v', 'd', 's', 'q', 'x', 'X', 'o', 'O', 'b', 'c', 'U', 'e', 'E', 'f', 'F', 'g', 'G', 't', 'T', '%', 'z', 'é'),
    )
    .map((parts) => `%${parts.join('')}`)
  const format = fc.array(fc.oneof(directive, text), { maxLength: 4 }).map((parts) => parts.join(''))
  const texts = fc.oneof(
    text,
    fc.array(text, { maxLength: 3 }),
    fc.array(text, { maxLength: 3 }).map((set) => ({ set })),
  )
  const call = (name: string, ...args: fc.Arbitrary<unknown>[]): fc.Arbitrary<unknown> =>
    fc.record({ call: fc.constant(name), args: fc.tuple(...args) })
  return fc.oneof(
    { weight: 8, arbitrary: call('sprintf', format, fc.array(value, { maxLength: 3 })) },
    call('strings.any_prefix_match', texts, texts),
    call('strings.any_suffix_match', texts, texts),
    call('strings.count', text, text),
    call('indexof_n', text, text),
    call('object.subset', value, value),
    call('urlquery.encode', text),
    call('urlquery.encode_object', fc.dictionary(text, fc.oneof(text, fc.array(text, { maxLength: 2 })), { maxKeys: 3 })),
    call('urlquery.decode', ascii),
    call('urlquery.decode_object', ascii),
    call('hex.encode', text),
    call(
      'hex.decode',
      fc
        .mixedCase(fc.string({ unit: fc.constantFrom('4', '1', '7', '0', 'a', 'g'), maxLength: 8 }))
        .filter((hex) => !/^(..)*[89a-f]/i.test(hex)),
    ),
    call('base64url.encode_no_pad', text),
    call('crypto.sha256', text),
  )
}
