import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configReference } from '../scripts/config-reference.ts'
import { providersPage, sections } from '../scripts/providers-page.ts'
import { conformance } from '../scripts/conformance-table.ts'
import { parse } from 'yaml'
import { kinds, ProviderConfig } from '../src/credential/registry.ts'
import { findingCodes } from '../src/config/findings.ts'
import { jsonSchema } from '../src/config/schema.ts'
import { credentialSlots } from '../src/identify/slots.ts'
import { codes } from '../src/refusal.ts'
import { laterCodes } from './later-codes.ts'

const root = resolve(import.meta.dirname, '..')
const files = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name).split(sep).join('/'))
    .sort()
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const sources = files('src', '.ts').filter((path) => !path.endsWith('.d.ts'))

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

/** Relative imports; `import type`, and braces that hold types alone, bring no value. */
function importsOf(path: string): Import[] {
  const found: Import[] = []
  for (const match of read(path).matchAll(/^(?:import|export)\s+(type\s+)?([^'"]*?)\s*from\s+'(\.[^']+)'/gm)) {
    const names = /^\{([\s\S]*)\}$/
      .exec(match[2]?.trim() ?? '')?.[1]
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean)
    const typeOnly = match[1] !== undefined || (names !== undefined && names.length > 0 && names.every((name) => name.startsWith('type ')))
    found.push({
      from: path,
      to: relative(root, resolve(root, dirname(path), match[3] ?? ''))
        .split(sep)
        .join('/'),
      typeOnly,
    })
  }
  return found
}

const imports = sources.flatMap((path) => importsOf(path))
const stages = ['listen', 'identify', 'task', 'match', 'decide', 'approve', 'credential', 'forward', 'record']
const stageOf = (path: string): string | null => stages.find((stage) => path.startsWith(`src/${stage}/`)) ?? null

describe('layers', () => {
  const leaves = ['src/refusal.ts', 'src/secret.ts', 'src/units.ts', 'src/bag.ts', 'src/protobuf.ts', 'src/trace-context.ts']

  test('a stage takes values only from itself and from refusal, secret and units', () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      const stage = stageOf(from)
      return stage !== null && !typeOnly && !to.startsWith(`src/${stage}/`) && !leaves.includes(to)
    })
    expect(wrong).toEqual([])
  })

  test('a stage takes types only from earlier stages, state and ids', () => {
    const wrong = imports.filter(({ from, to, typeOnly }) => {
      const stage = stageOf(from)
      if (stage === null || !typeOnly || to.startsWith(`src/${stage}/`) || leaves.includes(to)) return false
      const other = stageOf(to)
      if (other !== null) return stages.indexOf(other) >= stages.indexOf(stage)
      return !/^src\/state\/(state|facts|mint|leases|approvals|kills|grants|registrations|signals)\.ts$/.test(to) && to !== 'src/id.ts'
    })
    expect(wrong).toEqual([])
  })

  test('only wire takes values from every stage, and only it calls the request path', () => {
    const callers = imports.filter(({ to, typeOnly }) => to === 'src/countersign.ts' && !typeOnly).map(({ from }) => from)
    expect(callers).toEqual(['src/wire.ts'])
    const wide = sources.filter((path) => {
      const used = new Set(imports.filter(({ from, typeOnly }) => from === path && !typeOnly).map(({ to }) => stageOf(to)))
      used.delete(null)
      return stages.filter((stage) => stage !== 'listen' && stage !== 'record').every((stage) => used.has(stage))
    })
    expect(wide).toEqual(['src/wire.ts'])
  })

  test('no file depends on itself through others', () => {
    const next = new Map<string, string[]>()
    for (const { from, to, typeOnly } of imports) if (!typeOnly) next.set(from, [...(next.get(from) ?? []), to])
    const done = new Set<string>()
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) throw new Error([...trail.slice(trail.indexOf(path)), path].join(' → '))
      if (done.has(path)) return
      for (const to of next.get(path) ?? []) visit(to, [...trail, path])
      done.add(path)
    }
    for (const path of sources) visit(path, [])
  })

  test('main alone reads argv and the environment', () => {
    const readers = sources.filter((path) => /process\.(argv|env)\b/.test(read(path)))
    expect(readers).toEqual(['src/main.ts'])
  })

  test('forward strips every slot in which identify looks for a credential', () => {
    const text = read('src/forward/headers.ts')
    for (const slot of credentialSlots) expect(text).toContain(`'${slot}'`)
  })
})

describe('form', () => {
  test('no file or folder is a drawer', () => {
    const drawers = sources.filter((path) =>
      path.split('/').some((part) => /^(utils?|common|helpers?|types?|misc|shared|index)(\.ts)?$/.test(part)),
    )
    expect(drawers).toEqual([])
  })

  test('no file is a barrel', () => {
    expect(sources.filter((path) => /^export\s+(\*|\{[^}]*\}|type\s*\{[^}]*\})\s*(as\s+\w+\s*)?from\s/m.test(read(path)))).toEqual([])
  })

  test('files have at most 300 lines and functions at most 45', () => {
    const rules = ['-A', 'all', '-D', 'max-lines', '-D', 'max-lines-per-function']
    const limits = JSON.parse(read('.oxlintrc.json')).rules
    expect(limits['max-lines'][1]).toEqual({ max: 300 })
    expect(limits['max-lines-per-function'][1].max).toBe(45)
    expect(sources.filter((path) => read(path).trimEnd().split('\n').length > 300)).toEqual([])
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/oxlint/bin/oxlint'), '-c', '.oxlintrc.json', '--quiet', ...rules.slice(2), 'src'],
      {
        cwd: root,
        stdio: 'pipe',
      },
    )
  })

  test('nothing is silenced or left for later', () => {
    const silenced = /@ts-(ignore|expect-error|nocheck)|\bas any\b|oxlint-disable|eslint-disable|\b(TODO|FIXME|XXX)\b/
    expect(sources.filter((path) => silenced.test(read(path)))).toEqual([])
  })

  test('no test is switched off for good', () => {
    const off = files('test', '.test.ts').filter(
      (path) => path !== 'test/repo.test.ts' && /\b(it|test|describe)\.(skip|only|todo)\(/.test(read(path)),
    )
    expect(off).toEqual([])
  })
})

describe('dependencies', () => {
  const manifest = JSON.parse(read('package.json'))

  test('at run time are these and no others', () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual([
      '@grpc/grpc-js',
      '@open-policy-agent/opa-wasm',
      '@smithy/signature-v4',
      'canonicalize',
      'jose',
      'oauth4webapi',
      'pino',
      'prom-client',
      'undici',
      'yaml',
      'zod',
    ])
  })

  test('undici is at least 8.9, below which responses can desynchronise', () => {
    const [major = 0, minor = 0] = String(JSON.parse(read('node_modules/undici/package.json')).version)
      .split('.')
      .map(Number)
    expect(major * 1000 + minor).toBeGreaterThanOrEqual(8009)
  })

  test('the lockfile names no registry', () => {
    expect(read('package-lock.json')).not.toContain('"resolved": "http')
  })
})

describe('what is generated', () => {
  test('the JSON Schema is fresh', () => {
    expect(read('deploy/countersign.schema.json')).toBe(`${JSON.stringify(jsonSchema(), null, 2)}\n`)
  })

  test('the configuration reference is fresh', () => {
    expect(read('docs/config.md')).toBe(configReference(jsonSchema()))
    for (const code of Object.keys(findingCodes)) expect(read('docs/config.md')).toContain(code)
  })

  test('the matrix of providers is fresh, and has every kind', () => {
    expect(read('docs/providers.md')).toBe(providersPage())
  })

  test.each(kinds.map(({ type }) => type))(
    'the kind of provider %s has a section with settings that work, a sample in the contract tests and what they saw',
    (type) => {
      const [page = '', heading] = (sections[type] ?? '').split('#')
      const text = read(`docs/${page}`)
      const headings = text.split(/^(?=## )/m)
      const called = (part: string): string => /^## (.*)$/m.exec(part)?.[1]?.toLowerCase().replaceAll(' ', '-') ?? ''
      const section = heading === undefined ? text : (headings.find((part) => called(part) === heading) ?? '')
      const [, block = ''] = /^```yaml\n([\s\S]*?)^```/m.exec(section) ?? []
      const shown: object[] = Object.values(parse(block)?.credential?.providers ?? {})
      const own = shown.filter((settings) => 'type' in settings && settings.type === type)
      expect(own.length, `${sections[type]} shows settings of the kind ${type}`).toBeGreaterThan(0)
      for (const settings of own) expect(ProviderConfig.safeParse(settings).error).toBeUndefined()
      expect(read('test/conformance/credential/contract.test.ts')).toMatch(new RegExp(`^  ${type}: \\(\\) => `, 'm'))
      expect(existsSync(join(root, `test/conformance/credential/proven/${type}.json`))).toBe(true)
    },
  )
})

describe('conformance', () => {
  test('every clause is held by a test, every tag is a clause, and the table is fresh', () => {
    const { markdown, problems } = conformance()
    expect(problems).toEqual([])
    expect(read('docs/conformance.md')).toBe(markdown)
  })
})

describe('refusals', () => {
  const documented = (): string[] =>
    [...read('docs/refusals.md').matchAll(/^#+ `?([a-z]+(?:\.[a-z-]+)?)`?$/gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => name in codes || name.includes('.'))

  test('every code is explained in docs/refusals.md, and none that is gone', () => {
    expect(documented().toSorted()).toEqual(Object.keys(codes).toSorted())
  })

  test('every code is produced by a test of the running sidecar, but for those of later parts', () => {
    const text = read('test/e2e/refusals.test.ts')
    const later: readonly string[] = laterCodes
    const missing = Object.keys(codes).filter((code) => !later.includes(code) && !text.includes(`'${code}'`))
    expect(missing).toEqual([])
  })

  test('no code of a later part is raised yet', () => {
    const raised = sources.filter(
      (path) => path !== 'src/refusal.ts' && laterCodes.some((code) => read(path).includes(`Refusal('${code}'`)),
    )
    expect(raised).toEqual([])
  })
})

describe('invariants', () => {
  test('each names tests that exist', () => {
    const text = read('docs/invariants.md')
    const named = [...text.matchAll(/`(test\/[^`]+\.ts|rego\/[^`]+\.rego)`(?:[^`\n]*?[“"]([^”"\n]+)[”"])?/g)]
    expect(named.length).toBeGreaterThanOrEqual(9)
    for (const [, path = '', name] of named) {
      expect(existsSync(join(root, path)), path).toBe(true)
      if (name !== undefined) expect(read(path), `${path}: ${name}`).toContain(name)
    }
  })
})
