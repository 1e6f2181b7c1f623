import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { BundleFault } from '../../../src/decide/bundle/fault.ts'
import { EngineFailure } from '../../../src/decide/engine.ts'
import { allowedInput, defaultPolicyBytes, filesOf, openHost, packBundle, packTar } from '../../support/policy-rig.ts'
import { Random, seedOf } from '../../support/random.ts'
import { constant, forever, greedy, trap, unsigned, wasmModule, type ModuleSketch } from '../../support/wasm-module.ts'

/** What it is, and its bytes; they are made when it is its turn. */
type Hostile = readonly [name: string, bytes: () => Uint8Array]

const honest = { roots: ['countersign'], wasm: [] }
const allowed = JSON.stringify(allowedInput())

const bundle = (files: Readonly<Record<string, string | Uint8Array>>): Uint8Array =>
  packBundle({ '.manifest': JSON.stringify(honest), 'data.json': '{}', 'policy.wasm': wasmModule(), ...files })
const withManifest = (manifest: unknown): Uint8Array =>
  bundle({ '.manifest': typeof manifest === 'string' ? manifest : JSON.stringify(manifest) })
const withData = (data: string | Uint8Array): Uint8Array => bundle({ 'data.json': data })
const withModule = (sketch: ModuleSketch): Uint8Array => bundle({ 'policy.wasm': wasmModule(sketch) })

function archives(): Hostile[] {
  const { length } = defaultPolicyBytes
  const cut = Array.from({ length: 20 }, (_, at): Hostile => [
    `cut after ${at} twentieths`,
    () => defaultPolicyBytes.subarray(0, Math.floor((length * at) / 20)),
  ])
  const flipped = Array.from({ length: 20 }, (_, at): Hostile => {
    const place = 12 + Math.floor(((length - 24) * at) / 20)
    return [
      `bit ${at % 8} of byte ${place} flipped`,
      () => Uint8Array.from(defaultPolicyBytes, (byte, index) => (index === place ? byte ^ (1 << (at % 8)) : byte)),
    ]
  })
  const tar =
    (entries: readonly (readonly [string, string])[], kind = '0') =>
    (): Uint8Array =>
      gzipSync(packTar(entries, kind))
  const changed = (change: (archive: Buffer) => void) => (): Uint8Array => {
    const archive = Buffer.from(packTar([['.manifest', '{}']]))
    change(archive)
    return gzipSync(archive)
  }
  return [
    ...cut,
    ...flipped,
    ['no gzip', () => Buffer.from('policy')],
    ['a tar that is not packed', () => packTar([['.manifest', '{}']])],
    ['zeros, 100 MiB of them in 100 KiB', () => gzipSync(Buffer.alloc(100 * 1024 * 1024))],
    ['one file of 63 MiB', () => bundle({ 'data.json': `{"countersign":"${'x'.repeat(63 * 1024 * 1024)}"}` })],
    ['more than 16 MiB', () => Buffer.alloc(17 * 1024 * 1024)],
    ['5,000 files', tar(Array.from({ length: 5000 }, (_, at): [string, string] => [`a${at}.rego`, '']))],
    [
      'a file twice',
      tar([
        ['.manifest', '{}'],
        ['.manifest', '{}'],
      ]),
    ],
    ...['../policy.wasm', 'a/../../b.rego', 'policy\n.wasm', 'etc/passwd', 'a.rego/b', 'patch.json', 'data.yaml', 'x/data.json'].map(
      (path): Hostile => [`a file called ${JSON.stringify(path)}`, tar([[path, '{}']])],
    ),
    ...['1', '2', '3', '6', 'x', 'g', 'L', 'S'].map((kind): Hostile => [`an entry of kind ${kind}`, tar([['policy.wasm', '']], kind)]),
    ['a size that is a lie', changed((archive) => archive.write('77777777777', 124))],
    ['a size that is no number', changed((archive) => archive.write('9999', 124))],
    ['a wrong checksum', changed((archive) => archive.write('0000000', 148))],
    ['bytes after the end', changed((archive) => archive.write('more', archive.length - 4))],
  ]
}

function manifests(): Hostile[] {
  const selftest = (list: unknown): unknown => ({ ...honest, metadata: { countersign: { selftest: list } } })
  const deny = { entrypoint: 'countersign/decision', input: {}, effect: 'deny' }
  const resolver = (entrypoint: unknown, module: unknown = '/policy.wasm'): unknown => ({ ...honest, wasm: [{ entrypoint, module }] })
  const faults: readonly unknown[] = [
    '',
    'null',
    '[]',
    '{',
    '{"roots":[1]}',
    '\u0000',
    '{"roots":["countersign"],"wasm":[]',
    `{"roots":["countersign"],"wasm":[],"metadata":${'{"a":'.repeat(200_000)}`,
    ...[null, 1, 'countersign', {}, [null], [''], ['/'], ['//'], [], ['acme'], ['countersign/decision'], ['countersig']].map((roots) => ({
      ...honest,
      roots,
    })),
    ...[1, null, 'a b', 'x'.repeat(129), '../x', '\u0000', {}].map((revision) => ({ ...honest, revision })),
    ...[undefined, null, {}, 'x', [1], [null], [{}], [{ entrypoint: 1 }]].map((wasm) => ({ roots: ['countersign'], wasm })),
    ...[1, [], 'x', { countersign: 1 }, { countersign: [] }, { countersign: null }].map((metadata) => ({ ...honest, metadata })),
    resolver('countersign/decision', 'other.wasm'),
    resolver('countersign/other'),
    resolver('countersign/../x'),
    resolver('Countersign/Decision'),
    resolver(''),
    resolver('countersign'),
    ...[
      1,
      {},
      [],
      [1],
      [{}],
      [{ ...deny, input: 1 }],
      [{ ...deny, effect: 1 }],
      [{ ...deny, effect: 'allow' }],
      [{ ...deny, more: 1 }],
    ].map(selftest),
    ...['acme/x', 'system/log/mask', '__proto__', 'countersign/continue'].map((entrypoint) => selftest([deny, { ...deny, entrypoint }])),
    selftest(Array.from({ length: 257 }, () => deny)),
  ]
  return [
    ['no manifest', () => packBundle({ 'policy.wasm': wasmModule() })],
    ...faults.map((fault, at): Hostile => [`manifest ${at}, ${JSON.stringify(fault).slice(0, 100)}`, () => withManifest(fault)]),
  ]
}

function documents(): Hostile[] {
  const faults: readonly (string | Uint8Array)[] = [
    '',
    'null',
    '[]',
    '1',
    '{',
    '{}{}',
    '{"countersign":}',
    '{"other":1}',
    '{"countersigned":{}}',
    '{"countersign":{},"system":{}}',
    '{"__proto__":{}}',
    '{"":{}}',
    Uint8Array.of(0x7b, 0xff, 0x7d),
    Buffer.from('\ufeff{'),
  ]
  const deep = `{"countersign":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  const real = filesOf(defaultPolicyBytes)
  const inReal = (data: string) => (): Uint8Array => packBundle({ ...real, 'data.json': data })
  return [
    ...faults.map((data): Hostile => [`the data ${Buffer.from(data).toString('latin1').slice(0, 40)}`, () => withData(data)]),
    ['data that is nested deeply, for a real policy', inReal(deep)],
    ['data with half a surrogate pair, for a real policy', inReal('{"countersign":"\\ud800"}')],
    ['data that needs all memory, for a real policy', inReal(`{"countersign":[${'{"a":1},'.repeat(1_000_000)}1]}`)],
  ]
}

function modules(): Hostile[] {
  const exportsOf = [
    'builtins',
    'entrypoints',
    'opa_malloc',
    'opa_json_parse',
    'opa_json_dump',
    'opa_value_dump',
    'opa_heap_ptr_get',
    'opa_heap_ptr_set',
    'opa_eval',
  ]
  const sketch = (name: string, made: ModuleSketch): Hostile => [name, () => withModule(made)]
  const running = ['builtins', 'entrypoints', 'opa_malloc', 'opa_json_parse', 'opa_json_dump', 'opa_eval']
  const text = (bytes: string | Uint8Array): Hostile[] =>
    (['builtins', 'entrypoints', 'answer'] as const).map((place) =>
      sketch(`${place} are ${Buffer.from(bytes).toString('latin1').slice(0, 40)}`, { texts: { [place]: bytes } }),
    )
  // an answer of 2 MiB: the memory is filled with one letter and never ends
  const filled = [...constant(0), ...constant(0x61), ...constant(2 * 1024 * 1024), 0xfc, 0x0b, 0x00, ...constant(1)]
  return [
    ['no module', () => packBundle({ '.manifest': JSON.stringify(honest) })],
    ...['', 'wasm', '\0asm', '\0asm\u0002\0\0\0', '\0asm\u0001\0\0\0', '\0asm\u0001\0\0\0\u0001'].map((bytes): Hostile => [
      `a module of ${JSON.stringify(bytes)}`,
      () => bundle({ 'policy.wasm': bytes }),
    ]),
    ...[...exportsOf, 'opa_wasm_abi_version', 'opa_wasm_abi_minor_version'].map((name) => sketch(`no export ${name}`, { without: [name] })),
    ...(
      [
        [0, 3],
        [2, 3],
        [1, 0],
        [1, 1],
        [1, 4],
        [-1, -1],
      ] as const
    ).map((abi) => sketch(`ABI ${abi.join('.')}`, { abi })),
    ...(
      [
        ['env', 'fetch'],
        ['env', 'opa_abort2'],
        ['wasi_snapshot_preview1', 'fd_write'],
        ['wasm:js-string', 'length'],
        ['', ''],
      ] as const
    ).map((one) => sketch(`imports ${one.join('.')}`, { imports: [one] })),
    sketch('wants 33 pages', { pages: 33 }),
    sketch('wants 65,536 pages', { pages: 65_536 }),
    sketch('has a memory of its own', { sections: { 5: [0x01, 0x00, 0x01] } }),
    sketch('has a memory of its own, of 4 GiB', { sections: { 5: [0x01, 0x00, ...unsigned(65_536)] } }),
    sketch('has a table of ten million', { sections: { 4: [0x01, 0x70, 0x01, ...unsigned(10_000_000), ...unsigned(10_000_000)] } }),
    sketch('has a table without an end', { sections: { 4: [0x01, 0x70, 0x00, 0x01] } }),
    sketch('has a table of references', { sections: { 4: [0x01, 0x6f, 0x01, 0x01, 0x01] } }),
    sketch('has an array of the collector', { types: [[0x5e, 0x7f, 0x01]] }),
    sketch('has a structure of the collector', { types: [[0x5f, 0x01, 0x7f, 0x01]] }),
    sketch('takes references', { types: [[0x60, 0x01, 0x6f, 0x00]] }),
    sketch('has an exception', { sections: { 13: [0x01, 0x00, 0x09] } }),
    sketch('traps at its start', { start: trap }),
    sketch('loops at its start', { start: forever }),
    ...running.map((name) => sketch(`${name} traps`, { bodies: { [name]: trap } })),
    ...running.map((name) => sketch(`${name} loops`, { bodies: { [name]: forever } })),
    ...running
      .filter((name) => !['opa_eval', 'opa_json_parse'].includes(name))
      .map((name) => sketch(`${name} answers an address beyond the end`, { bodies: { [name]: constant(0x7fff_ffff) } })),
    sketch('answers an address beyond the end', { bodies: { opa_eval: constant(0x7fff_ffff) } }),
    sketch('answers an address before the beginning', { bodies: { opa_eval: constant(-1) } }),
    sketch('takes all memory at its start, and traps', { start: [...greedy, ...trap] }),
    sketch('answers 2 MiB', { bodies: { opa_eval: filled } }),
    ...text(''),
    ...text('nonsense'),
    ...text('['),
    ...text(Uint8Array.of(0xff, 0xfe)),
    ...[
      '{"effect":"deny"}',
      '[]',
      '[{}]',
      '[{"result":null}]',
      '[{"result":{"effect":"allow"}}]',
      '[{"result":{"effect":["deny"]}}]',
      '[{"result":"deny"}]',
      '"deny"',
      'null',
      '['.repeat(3000),
    ].map((answer) => sketch(`answers ${answer.slice(0, 40)}`, { texts: { answer } })),
    ...['{"http.send":1}', '{"opa.runtime":1}', '{"rand.intn":7}', '{"__proto__":1}', '{"constructor":1}'].map((asked) =>
      sketch(`calls ${asked}`, { texts: { builtins: asked } }),
    ),
    ...[
      '{}',
      '{"countersign/decision":0}',
      '{"countersign/task":0}',
      '{"countersign/decision":"x","countersign/task":1}',
      '{"countersign/decision":-1,"countersign/task":1}',
      '{"countersign/decision":0,"countersign/task":1,"Countersign/Other":2}',
      '{"countersign/decision":0,"countersign/task":1,"acme/other":2}',
      '{"countersign/decision":0,"countersign/task":1,"system/log/mask":2}',
    ].map((entrypoints) => sketch(`has the entrypoints ${entrypoints}`, { texts: { entrypoints } })),
  ]
}

describe('a hostile bundle', () => {
  const running = openHost(defaultPolicyBytes)
  afterAll(() => running.close())
  const hostile = [...archives(), ...manifests(), ...documents(), ...modules()]

  test('is one of two hundred', () => {
    expect(hostile.length).toBeGreaterThanOrEqual(200)
    const names = hostile.map(([name]) => name)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
  })

  test('stands beside an honest one that is made the same way and is taken', () => {
    const host = openHost(bundle({}))
    expect(host.evaluate('countersign/decision', '{}')).toEqual({ effect: 'deny' })
    host.close()
  })

  test.each(hostile)('%s: it is refused, and what is in force judges on', (_, bytes) => {
    let thrown: unknown
    try {
      openHost(bytes()).close()
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(BundleFault)
    expect((thrown as BundleFault).message.length).toBeLessThan(600)
    expect(running.evaluate('countersign/decision', allowed)).toMatchObject({ effect: 'allow' })
  })

  test('of random bytes in a real module is refused, or fails alone when it judges', () => {
    const random = new Random(seedOf(process.env))
    const { 'policy.wasm': wasm = '', ...rest } = filesOf(defaultPolicyBytes)
    let taken = 0
    for (let n = 0; n < 100; n++) {
      const bytes = Buffer.from(wasm)
      for (let change = 0; change <= n % 4; change++) bytes[random.below(bytes.length)] = random.below(256)
      try {
        const host = openHost(packBundle({ ...rest, 'policy.wasm': bytes }))
        taken++
        for (const input of ['{}', allowed]) {
          try {
            host.evaluate('countersign/decision', input)
          } catch (error) {
            expect(error).toBeInstanceOf(EngineFailure)
          }
        }
        host.close()
      } catch (error) {
        expect(error).toBeInstanceOf(BundleFault)
      }
    }
    expect(taken).toBeLessThan(100)
    expect(running.evaluate('countersign/decision', allowed)).toMatchObject({ effect: 'allow' })
  }, 120_000)
})
