import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenRig, routeAddress, strictRelax, type ListenRig } from '../../support/listen-rig.ts'
import { plain, relaxed } from './real-urls.ts'

const task = 't_01JD00000000000000000000AB'
let rig: ListenRig

beforeAll(async () => {
  rig = await listenRig({
    routes: [
      routeAddress('api'),
      routeAddress('encodedSlash', { relax: { ...strictRelax, encodedSlash: true } }),
      routeAddress('emptySegments', { relax: { ...strictRelax, emptySegments: true } }),
      routeAddress('encodedPercent', { relax: { ...strictRelax, encodedPercent: true } }),
      routeAddress('named', { at: null, host: 'api.acme.example' }),
    ],
  })
})
afterAll(async () => rig[Symbol.asyncDispose]())

/** Sends one request and gives the status, and the target as the stages behind listen saw it. */
async function ask(target: string, host = 'localhost'): Promise<readonly [number | undefined, string | undefined]> {
  const before = rig.seen.length
  const [answer] = await rig.exchange(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  return [answer?.status, rig.seen[before]?.target]
}

describe('a target that a real API takes', () => {
  it.each(plain)('passes byte for byte: %s', async (target) => {
    expect(await ask(`/api${target}`)).toEqual([200, target])
  })

  it('passes byte for byte behind a task in the path, on an exact Host, and in absolute-form', async () => {
    const target = '/a%2Eb/%7E/x?..=%2f&y[]=?'
    expect(await ask(`/t/${task}/api${target}`)).toEqual([200, target])
    expect(await ask(target, 'api.acme.example')).toEqual([200, target])
    expect(await ask(`http://localhost/api${target}`)).toEqual([200, target])
  })

  const needing = Object.entries(relaxed).flatMap(([name, targets]) => targets.map((target) => [name, target] as const))
  it.each(needing)('needs %s and nothing else: %s', async (name, target) => {
    expect(await ask(`/${name}${target}`)).toEqual([200, target])
    for (const other of ['api', ...Object.keys(relaxed).filter((each) => each !== name)]) {
      expect(await ask(`/${other}${target}`)).toEqual([400, undefined])
    }
  })
})

describe('a hostile target', () => {
  const prefixes = ['/api', '/encodedSlash', '/emptySegments', '/encodedPercent', `/t/${task}/api`]
  const escapes = [
    ...'/../x /%2e%2e/x /.%2e/x /%252e%252e/x /..;/x /..%3b/x /%2e%2e%2fx /..%5cx /..%c0%afx /%c0%ae%c0%ae/x /..%00/x /..%20/x'.split(' '),
    ...'/%ef%bc%8e%ef%bc%8e/x /%e2%80%a5/x /%25252e%25252e%25252fx /a%2f..%2f..%2fx /..%ef%bc%8fx /%u002e%u002e/x /a/./x /..%0d%0a/x'.split(
      ' ',
    ),
  ]
  it.each(escapes)('is refused on every route and under every prefix, and the port lives on: %s', async (target) => {
    for (const prefix of prefixes) expect((await ask(prefix + target))[0]).toBe(400)
    expect(await ask('/api/honest')).toEqual([200, '/honest'])
  })

  it('that reaches for another prefix from under its own never gets there', async () => {
    for (const target of [
      '/api/../named/x',
      '/api/%2e%2e/encodedSlash/x',
      '/t/../api/x',
      `/t/${task}/../api/x`,
      '/.countersign/../api/x',
    ]) {
      expect(await ask(target)).toEqual([400, undefined])
    }
  })
})
