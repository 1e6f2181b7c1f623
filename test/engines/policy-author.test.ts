import { createHmac, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPolicy, plainly } from '../../src/author/build.ts'
import { filesInBundle } from '../../src/author/bundle-files.ts'
import { readCases } from '../../src/author/cases.ts'
import { lintCodes, type LintCode } from '../../src/author/lint/findings.ts'
import { lintPolicy } from '../../src/author/lint/lint.ts'
import { runRegoTests } from '../../src/author/rego-tests.ts'
import { readSigningKey } from '../../src/author/signing-key.ts'
import { tryBundle } from '../../src/author/trial.ts'
import { policy } from '../../src/cli/policy.ts'
import { readBundle } from '../../src/decide/bundle/bundle.ts'

const root = resolve(import.meta.dirname, '../..')
const rego = join(root, 'rego')
const opa = join(root, '.engines/bin/opa')
const starters = readdirSync(join(rego, 'starters')).map((name) => join(rego, 'starters', name))

let scratch = ''
let serial = 0

beforeAll(() => {
  if (!existsSync(opa)) throw new Error('opa is not installed: run `npm run engines`')
  scratch = mkdtempSync(join(tmpdir(), 'countersign-author-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

/** A folder of its own with these files. */
function folder(files: Readonly<Record<string, string>>): string {
  const place = join(scratch, `folder-${serial++}`)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(place, path)), { recursive: true })
    writeFileSync(join(place, path), text)
  }
  return place
}

const file = 'countersign/call/acme.rego'
const tests = 'countersign/call/acme_test.rego'

/** A rule with nothing wrong. */
const sound = `package countersign.call

import data.countersign.lib

# METADATA
# title: Large refunds need a person
# description: A person answers every refund above 100 EUR.
# custom:
#   id: acme.large-refund
#   severity: high
#   effect: ask
#   observable: true
#   facts: [tool.name, request.body.parsed]
#   frameworks:
#     owasp_agentic: [ASI02]
#   message: a refund above 100 EUR needs a person
#   remediation: Have a person approve it.
_large_refund := rego.metadata.rule()

ask contains lib.finding(_large_refund, {"amount": amount}) if {
	input.tool.name == "payments.refund.create"
	amount := input.request.body.parsed.amount
	amount > 100
}
`

const soundTests = `package countersign.acme_test

import data.countersign.call_test
import data.countersign.sample

refund(amount) := sample.changed(sample.call, {
	"tool": {"name": "payments.refund.create"},
	"request": {"body": {"parsed": {"amount": amount}}},
})

test_a_large_refund_is_asked_about if call_test.asked(refund(101)) == {"acme.large-refund"}

test_a_small_refund_passes if call_test.asked(refund(100)) == set()
`

const good = { [file]: sound, [tests]: soundTests }

/** Runs the command as a user would. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = { OPA: opa }) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await policy.run({
    args,
    env,
    stdin: new PassThrough(),
    stdout,
    stderr,
    signal: new AbortController().signal,
    onHangup: () => undefined,
    version: '0',
  })
  stdout.end()
  stderr.end()
  return { code, stdout: await textOf(stdout), stderr: await textOf(stderr) }
}

describe('a build', () => {
  it('gives the same bytes from the same sources, wherever they lie', () => {
    const here = folder(good)
    const there = folder({ 'policy/.manifest': '{"roots":["countersign"]}', ...prefixed('policy/', good) })
    const bytes = buildPolicy([here], plainly, opa)
    expect(bytes.library).toBe(true)
    expect(Buffer.compare(bytes.bytes, buildPolicy([there], plainly, opa).bytes)).toBe(0)
  })

  it('of the default policy gives what ships', () => {
    const { bytes, library } = buildPolicy([rego], plainly, opa)
    expect(library).toBe(false)
    expect(gunzipSync(bytes).equals(gunzipSync(readFileSync(join(rego, 'policy.tar.gz'))))).toBe(true)
  })

  it('carries its serial and its cases, and takes its roots from the packages', () => {
    const place = folder({ ...good, 'acme/limits/data.json': '{"most": 5}', 'system/log/mask.rego': 'package system.log\n\nx := 1\n' })
    const selftest = readCases([join(rego, 'starters/code-agent/cases')]).cases.filter(({ expect: { effect } }) => effect !== 'ask')
    const allowed = selftest.filter(({ expect: { rules } }) => rules?.length === 0)
    expect(() => buildPolicy([place], { ...plainly, selftest: allowed }, opa)).toThrow(/no case expects a deny/)
    const denies = { ...allowed[0], expect: { effect: 'deny', rules: null, obligations: null }, input: {} }
    const plan = { ...plainly, serial: 12, revision: 'acme-1', selftest: [...allowed, denies] as typeof allowed }
    const { bundle } = tryBundle(buildPolicy([place], plan, opa).bytes)
    expect(bundle.revision).toBe('acme-1')
    expect(bundle.manifest.roots).toEqual(['acme', 'countersign', 'system/log'])
    expect(bundle.manifest.metadata).toMatchObject({ countersign: { serial: 12, selftest: { length: allowed.length + 1 } } })
    expect(JSON.parse(Buffer.from(bundle.data).toString())).toMatchObject({ acme: { limits: { most: 5 } } })
  })

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'])(
    'signed with %s verifies with its key and scope, and with no other',
    (algorithm) => {
      const path = join(folder({ key: privateKey(algorithm) }), 'key')
      const key = readSigningKey(path, 'acme-1', { algorithm, scope: 'production', issued: 1_700_000_000 })
      const place = folder(good)
      const { bytes } = buildPolicy([place], { ...plainly, signing: key }, opa)
      expect(tryBundle(bytes, key.verification).bundle.signature).toMatchObject({ keyId: 'acme-1', issued: 1_700_000_000_000 })
      expect(() => readBundle(bytes, { keys: [key.verification], keyId: null, scope: 'test' })).toThrow(/scope/)
      const other = readSigningKey(join(folder({ key: privateKey(algorithm) }), 'key'), 'acme-1', {
        algorithm,
        scope: 'production',
        issued: null,
      })
      expect(() => tryBundle(bytes, other.verification)).toThrow(/does not verify/)
      if (['RS256', 'EdDSA', 'HS256'].includes(algorithm))
        expect(Buffer.compare(bytes, buildPolicy([place], { ...plainly, signing: key }, opa).bytes)).toBe(0)
    },
  )

  it('refuses a file that the library has too, a key that is none, and source that does not compile, with its place', () => {
    const twice = folder({ 'countersign/call/data.rego': sound })
    expect(() => buildPolicy([twice], plainly, opa)).toThrow(/is in the library too/)
    expect(() => readSigningKey(join(twice, 'countersign/call/data.rego'), 'k', { algorithm: null, scope: null, issued: null })).toThrow(
      /is not a PEM private key/,
    )
    const broken = folder({ [file]: 'package countersign.call\n\nx if nope(1)\n' })
    expect(() => buildPolicy([broken], plainly, opa)).toThrow(`${join(broken, file)}:3: rego_type_error: undefined function nope`)
  })

  it('is what the command writes and tells of', async () => {
    const out = join(scratch, 'policy.tar.gz')
    const said = await run(['build', join(rego, 'starters/code-agent'), '-o', out, '--serial', '3', '--json'])
    expect(said.code).toBe(0)
    const { bundle } = tryBundle(readFileSync(out))
    expect(JSON.parse(said.stdout)).toMatchObject({
      revision: bundle.revision,
      digest: `sha256:${bundle.digest}`,
      library: 'included',
      self_tests: '5 cases',
      signed_by: null,
    })
  })
})

function prefixed(prefix: string, files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([path, text]) => [`${prefix}${path}`, text]))
}

function privateKey(algorithm: string): string {
  const format = { publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } } as const
  if (algorithm === 'HS256') return createHmac('sha256', String(serial++)).update('a secret for one test').digest('hex')
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519', format).privateKey
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'prime256v1', ...format }).privateKey
  return generateKeyPairSync('rsa', { modulusLength: 2048, ...format }).privateKey
}

/** Replaces once, and says when there is nothing to replace. */
function but(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the sample lacks ${from}`)
  return text.replace(from, () => to)
}

/** A whole policy that allows whatever comes. */
const allowing = `package countersign

# METADATA
# entrypoint: true
decision := {"v": 1, "effect": "allow", "reasons": [], "obligations": [], "labels": {}}

# METADATA
# entrypoint: true
task := {"v": 1, "effect": "deny", "reasons": [], "obligations": [], "labels": {}}
`

/** What a rule that requires facts says besides. */
const waits = `
defer contains lib.waiting(_large_refund, missing) if {
	missing := lib.missing(_large_refund, input)
	count(missing) > 0
}
`

const helper = 'package countersign.lib.acme\n\n'
const planted: readonly (readonly [LintCode, RegExp, Readonly<Record<string, string>>])[] = [
  ['CP1001', /undefined function nope/, { ...good, 'countersign/call/b.rego': 'package countersign.call\n\nx if nope(1)\n' }],
  ['CP1001', /undefined ref/, { ...good, [file]: but(sound, 'input.tool.name', 'input.tool.nmae') }],
  ['CP1002', /opa fmt -w/, { ...good, [file]: but(sound, '\tamount > 100', '\tamount   > 100') }],
  ['CP1101', /without an id/, { ...good, [file]: `${sound}\ndeny contains {"rule": "x"} if input.tool.name == "x"\n` }],
  ['CP1102', /custom\.message/, { ...good, [file]: but(sound, '#   message: a refund above 100 EUR needs a person\n', '') }],
  ['CP1102', /custom\.severity \(one of low/, { ...good, [file]: but(sound, 'severity: high', 'severity: huge') }],
  ['CP1102', /custom\.observable/, { ...good, [file]: but(sound, 'observable: true', 'observable: perhaps') }],
  ['CP1103', /is the id of/, { ...good, 'countersign/call/again.rego': sound.replaceAll('_large_refund', '_again') }],
  ['CP1104', /ASI99/, { ...good, [file]: but(sound, 'ASI02', 'ASI99') }],
  ['CP1104', /the framework acme is unknown/, { ...good, [file]: but(sound, 'owasp_agentic: [ASI02]', 'acme: [A1]') }],
  ['CP1105', /tool\.nmae/, { ...good, [file]: but(sound, 'facts: [tool.name', 'facts: [tool.nmae') }],
  ['CP1105', /no setting nothing/, { ...good, [file]: but(sound, '#   frameworks:', '#   setting: nothing\n#   frameworks:') }],
  ['CP1106', /says effect deny and does ask/, { ...good, [file]: but(sound, 'effect: ask', 'effect: deny') }],
  [
    'CP1105',
    /that it requires/,
    { ...good, [file]: `${but(sound, '#   frameworks:', '#   requires: [tool.nmae]\n#   frameworks:')}${waits}` },
  ],
  ['CP1107', /never waits/, { ...good, [file]: but(sound, '#   frameworks:', '#   requires: [signals.scan.value]\n#   frameworks:') }],
  ['CP1201', /must deny/, { 'countersign/decision.rego': allowing }],
  ['CP1202', /default open holds/, { ...good, [file]: `${sound}\ndefault open := true\n` }],
  [
    'CP1203',
    /countersign\.continue is not compiled in/,
    { ...good, 'countersign/c.rego': 'package countersign\n\ncontinue := {"effect": "deny"}\n' },
  ],
  ['CP1204', /no countersign\/response/, { 'countersign/decision.rego': but(allowing, '"allow"', '"deny"') }],
  [
    'CP1301',
    /http\.send is not lent to policy: policy waits/,
    { ...good, [file]: `${sound}\nx := http.send({"method": "get", "url": "https://acme.example"})\n` },
  ],
  ['CP1301', /rand\.intn.*the same call/, { ...good, [file]: `${sound}\nx := rand.intn("a", 2)\n` }],
  ['CP1302', /input\.context\.now/, { ...good, [file]: `${sound}\nx := time.now_ns()\n` }],
  ['CP1303', /reads input/, { ...good, 'countersign/lib/acme/a.rego': `${helper}name := input.tool.name\n` }],
  ['CP1304', /optimiser/, { ...good, Makefile: 'policy:\n\topa build -b . -t wasm \\\n\t  -O 2 -o policy.tar.gz\n' }],
  ['CP1401', /no test names acme\.large-refund/, { [file]: sound }],
  ['CP1402', /lets pass/, { ...good, [tests]: but(soundTests, '== set()', '!= {"acme.large-refund"}') }],
]

describe('lint', () => {
  it('finds nothing but what is not there in the default policy, in every starter and in a sound rule', () => {
    for (const place of [rego, ...starters, folder(good)])
      expect(
        lintPolicy([place], null, opa).filter(({ severity }) => severity !== 'note'),
        place,
      ).toEqual([])
  })

  it.each(planted)('finds %s: %s', (code, message, files) => {
    const found = lintPolicy([folder(files)], null, opa)
    expect(found.map((one) => one.code)).toContain(code)
    expect(
      found.find((one) => one.code === code && message.test(one.message)),
      JSON.stringify(found),
    ).toBeDefined()
    // and little else: what else it says follows from the same fault
    const others: readonly string[] = ['CP1201', 'CP1204', code, ...(code.startsWith('CP12') ? ['CP1401'] : [])]
    expect(found.map((one) => one.code).filter((one) => !others.includes(one))).toEqual([])
  })

  it('has a planted fault for every code', () => {
    expect(new Set(planted.map(([code]) => code))).toEqual(new Set(Object.keys(lintCodes)))
  })

  it('ends with status 1 and tells file, line, code and what to do', async () => {
    const place = folder({ ...good, [file]: but(sound, 'ASI02', 'ASI99') })
    const said = await run(['lint', place])
    expect(said.code).toBe(1)
    expect(said.stdout).toContain(`${join(place, file)}:18  CP1104  ASI99 is no id of owasp_agentic that was checked`)
    expect((await run(['lint', folder(good), '-o', 'json'])).code).toBe(0)
  })
})

describe('Rego tests', () => {
  it('pass in opa and in the host alike for the default policy and every starter', () => {
    const all = runRegoTests([rego], null, opa)
    expect(all.tests.length).toBeGreaterThan(100)
    expect(all.tests.filter(({ ok }) => !ok)).toEqual([])
    expect(all.coverage).toBe(100)
    for (const place of starters) {
      const { tests: own, coverage } = runRegoTests([place], null, opa)
      expect(own.length, place).toBeGreaterThan(0)
      expect(
        own.filter(({ ok }) => !ok),
        place,
      ).toEqual([])
      expect(coverage, place).toBe(100)
    }
  })

  it('that fail, that the host cannot compile or that only one of the two passes are told apart', () => {
    const odd = `package countersign.odd_test

test_passes if true

test_fails if 1 == 2

test_with_cases[name] if {
	some name, number in {"one": 1, "two": 2}
	number < 3
}

test_prints if print("hello") == true

test_one_name if true

test_one_name if false

test_conflicts if _both(1) == 1

_both(number) := 1 if number > 0

_both(number) := 2 if number > 0

test_asks_the_network if http.send({"method": "get", "url": "x"}).a == 1 with http.send as {"a": 1}

test_replaces_a_builtin if count([1]) == 7 with count as 7

test_rolls if rand.intn("a", 2) >= 0

test_orders_keys if json.marshal({"b": 1, "a": 2}) == \`{"a":2,"b":1}\`

todo_test_later if false
`
    const { tests: found, coverage } = runRegoTests(
      [folder({ ...good, 'countersign/odd_test.rego': but(odd, 'print("hello") == true', 'print("hello")') })],
      null,
      opa,
    )
    const ends = Object.fromEntries(found.map(({ name, opa: byOpa, host, ok }) => [name.split('.').at(-1), `${byOpa}, ${host}, ${ok}`]))
    expect(ends).toEqual({
      test_a_large_refund_is_asked_about: 'pass, pass, true',
      test_a_small_refund_passes: 'pass, pass, true',
      test_passes: 'pass, pass, true',
      test_fails: 'fail, fail, false',
      test_with_cases: 'pass, pass, true',
      test_prints: 'pass, pass, true',
      test_one_name: 'pass, pass, true',
      'test_one_name#01': 'fail, pass, false',
      test_conflicts: 'error, error, false',
      test_asks_the_network: 'pass, not compiled, false',
      test_replaces_a_builtin: 'pass, pass, true',
      test_rolls: 'pass, not compiled, false',
      // an engine lists keys as it hashes them
      test_orders_keys: 'pass, fail, false',
      todo_test_later: 'skipped, skipped, true',
    })
    expect(coverage).toBeNull()
    expect(found.find(({ name }) => name.endsWith('test_orders_keys'))?.why).toBe('opa and the host do not agree')
    expect(found.find(({ name }) => name.endsWith('test_rolls'))?.why).toContain('undefined function rand.intn')
  })

  it('and the cases beside them are what the command runs', async () => {
    const said = await run(['test', join(rego, 'starters/code-agent')])
    expect(said.stderr).toContain('4 Rego tests in opa and in the host, 0 failed, 100 % of the lines reached\n5 cases, 0 failed')
    expect(said.code).toBe(0)
    const broken = await run(['test', folder({ ...good, [tests]: but(soundTests, 'refund(100)', 'refund(102)') })])
    expect(broken.code).toBe(1)
    expect(broken.stdout).toMatch(
      /✗ countersign\.acme_test\.test_a_small_refund_passes {2}\(.*acme_test\.rego:13\)\n {4}opa: fail, host: fail\n/,
    )
  })
})

describe('a trace', () => {
  it('shows which lines around the rules that fired held, and with which values', async () => {
    const input = JSON.parse(readFileSync(join(rego, 'starters/code-agent/cases/merge-unchecked.json'), 'utf8')).input
    const path = join(folder({ 'input.json': JSON.stringify(input) }), 'input.json')
    const said = await run(['explain', '--input', path, '--policy', join(rego, 'starters/code-agent'), '--trace', '-o', 'json'])
    expect(said.code, said.stderr).toBe(0)
    const { trace, rules } = JSON.parse(said.stdout)
    expect(rules.map(({ id }: { id: string }) => id)).toContain('code.checks-first')
    const lines: { text: string; held: boolean; values: object }[] = trace['countersign/call/code_agent.rego']
    const held = (text: string): boolean | undefined => lines.find((one) => one.text.startsWith(text))?.held
    expect(held('not lib.after_within(input, "ci.checks.read", 5)')).toBe(true)
    expect(held('lib.any_matches(_protected, input.tool.resource)')).toBe(false)
    const asked: typeof lines = trace['countersign/call/autonomy.rego']
    expect(asked.find(({ values }) => Object.keys(values).length > 0)?.values).toEqual({ autonomy: 'bounded' })
  })

  it('of a policy that carries no source says what to give', async () => {
    const bare = folder({})
    mkdirSync(bare)
    for (const name of ['policy.wasm', '.manifest', 'data.json'])
      writeFileSync(join(bare, name), filesInBundle(readFileSync(join(rego, 'policy.tar.gz'))).get(name) ?? '')
    const path = join(folder({ 'input.json': '{"v":1}' }), 'input.json')
    const said = await run(['explain', '--input', path, '--policy', bare, '--trace'])
    expect(said.code).toBe(78)
    expect(said.stderr).toContain('this policy carries no source')
  })
})

describe('a new folder', () => {
  it.each(starters.map((place) => basename(place)))('from the starter %s passes lint, test and build as it stands', async (starter) => {
    const place = join(scratch, `new-${starter}`)
    expect((await run(['init', place, '--starter', starter])).code).toBe(0)
    for (const args of [
      ['lint', place],
      ['test', place],
      ['build', place, '-o', join(scratch, `${starter}.tar.gz`)],
    ]) {
      const said = await run(args)
      expect(said.code, said.stdout + said.stderr).toBe(0)
    }
    expect((await run(['init', place, '--starter', starter])).code).toBe(78)
  })
})

describe('without opa', () => {
  it.each([['build', '-o', 'x.tar.gz'], ['lint'], ['test']])('%s says how to get it and ends with 69', async (verb, ...more) => {
    const said = await run([verb, folder(good), ...more], { OPA: join(scratch, 'nowhere') })
    expect(said.code).toBe(69)
    expect(said.stderr).toContain('go install github.com/open-policy-agent/opa@')
  })
})
