import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Instruction {
  readonly word: string
  readonly rest: string
}

/** The instructions of the Dockerfile, continued lines joined, comments left out. */
function instructions(text: string): Instruction[] {
  const joined = text.replaceAll(/^\s*#.*\n/gm, '').replaceAll(/\\\n/g, ' ')
  return joined
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, word = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? []
      return { word: word.toUpperCase(), rest: rest.trim() }
    })
}

const all = instructions(read('Dockerfile'))
const runtime = all.slice(all.findLastIndex(({ word }) => word === 'FROM'))
const of = (list: readonly Instruction[], word: string): string[] => list.flatMap((one) => (one.word === word ? [one.rest] : []))

/** Whether `.dockerignore` lets a path of the build context through; what is shut out at the top is let in by name. */
const letIn = new Set(
  read('.dockerignore')
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : [])),
)

describe('the image', () => {
  test('has one base, chosen by an argument with a version', () => {
    expect(all[0]?.word).toBe('ARG')
    expect(all[0]?.rest).toMatch(/^BASE=node:\d+-slim$/)
    const bases = of(all, 'FROM').map((rest) => rest.split(' ')[0])
    expect(bases.length).toBe(2)
    expect(new Set(bases)).toEqual(new Set(['${BASE}']))
  })

  test('is of a Node that the package runs on', () => {
    const [, major = '0'] = /node:(\d+)/.exec(all[0]?.rest ?? '') ?? []
    const [, least = '0'] = /^>=(\d+)$/.exec(JSON.parse(read('package.json')).engines.node) ?? []
    expect(Number(major)).toBeGreaterThanOrEqual(Number(least))
  })

  test('runs as a numeric user that is not root, and nothing after that is run as root', () => {
    const at = runtime.findIndex(({ word }) => word === 'USER')
    expect(runtime[at]?.rest).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(runtime.slice(at + 1).filter(({ word }) => word === 'RUN' || word === 'USER')).toEqual([])
  })

  test('copies only what exists and is let into the context', () => {
    for (const rest of of(all, 'COPY').filter((one) => !one.startsWith('--from'))) {
      for (const source of rest.split(/\s+/).slice(0, -1)) {
        expect(existsSync(join(root, source)), source).toBe(true)
        expect(letIn.has(source), `${source} in .dockerignore`).toBe(true)
      }
    }
    expect(read('.dockerignore').split('\n')).toContain('*')
  })

  test('takes production dependencies and the build, and nothing else from the stage before', () => {
    expect(
      of(runtime, 'COPY')
        .filter((rest) => rest.startsWith('--from'))
        .map((rest) => rest.split(/\s+/)[1]),
    ).toEqual(['/app/node_modules', '/app/dist', '/app/compiled'])
    expect(of(all, 'RUN').join('\n')).toContain('npm prune --omit=dev')
  })

  test('has everything where the build looks for it', () => {
    const places = of(runtime, 'COPY').map((rest) => rest.split(/\s+/).at(-1))
    // ../package.json, ../rego/policy.tar.gz and ../../examples are looked up from dist
    expect(places).toEqual(expect.arrayContaining(['./dist', './rego', './examples', './node_modules', './']))
    expect(of(all, 'WORKDIR')).toEqual(['/app', '/app'])
    expect(JSON.parse(of(runtime, 'ENTRYPOINT')[0] ?? '')).toEqual(['node', '/app/dist/main.js'])
  })

  test('starts with a configuration, ends on SIGTERM and is probed on the health port', () => {
    expect(JSON.parse(of(runtime, 'CMD')[0] ?? '')).toEqual(['start', '--config', '/etc/countersign/countersign.yaml'])
    expect(of(runtime, 'STOPSIGNAL')).toEqual(['SIGTERM'])
    expect(of(runtime, 'HEALTHCHECK').join('')).toContain('http://127.0.0.1:7423/livez')
    expect(JSON.parse(of(runtime, 'VOLUME')[0] ?? '')).toEqual(['/var/lib/countersign'])
  })
})
