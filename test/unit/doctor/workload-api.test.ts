import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { examineWorkloadApi } from '../../../src/doctor/examine.ts'
import { findingOf, means, wrongs } from '../../support/doctor-rig.ts'
import { FakeWorkloadApi } from '../../support/fake-workload-api.ts'
import { agent, authority, jwtBundlesAnswer, svidMessage, x509Answer } from '../../support/workload-rig.ts'
import { Issuer } from '../../support/issuer.ts'

const subject = 'workload api'
let folder: string
const open: (() => unknown)[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'))
  open.push(() => rmSync(folder, { recursive: true, force: true }))
})
afterEach(() => {
  for (const close of open.splice(0).toReversed()) close()
})

const examine = (socket: string | null, over = {}) => examineWorkloadApi(socket, means(over))

/** A server that is no gRPC, on a socket or port. */
async function stranger(place: string | number): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  open.push(() => server.close())
  if (typeof place === 'string') server.listen(place)
  else server.listen(place, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function fake(): Promise<FakeWorkloadApi> {
  const api = await FakeWorkloadApi.start()
  open.push(() => api.close())
  return api
}

/** As a Workload API with one identity answers. */
function serve(api: FakeWorkloadApi): void {
  api.push('FetchX509SVID', x509Answer([svidMessage(authority(), agent)]))
  api.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': new Issuer().jwks() }))
}

describe('the address', () => {
  test.each([
    [null, {}],
    [null, { SPIFFE_ENDPOINT_SOCKET: '' }],
    [null, { SPIFFE_ENDPOINT_SOCKET: '/run/spire/agent.sock' }],
    ['unix:relative', {}],
    ['tcp://localhost:8000', {}],
    ['https://127.0.0.1', {}],
  ])('%s with %j is none', async (socket, env) => {
    const checks = await examine(socket, { env })
    expect(wrongs(checks)).toEqual([`error CS2001 ${subject}`])
    expect(checks[0]?.seen).toContain(socket === null ? 'SPIFFE_ENDPOINT_SOCKET' : '--socket')
  })

  test('says from where it was taken when all is well', async () => {
    const api = await fake()
    serve(api)
    const [given] = await examine(api.address)
    const [variable] = await examine(null, { env: { SPIFFE_ENDPOINT_SOCKET: api.address } })
    expect(given).toMatchObject({ severity: 'ok', seen: expect.stringContaining('from --socket') })
    expect(variable).toMatchObject({ severity: 'ok', seen: expect.stringContaining('from SPIFFE_ENDPOINT_SOCKET') })
  })
})

describe('the socket', () => {
  test('that is not there is told from a folder that is not there', async () => {
    const lone = await examine(`unix:${folder}/api.sock`)
    const none = await examine(`unix:${folder}/run/api.sock`)
    expect([wrongs(lone), wrongs(none)]).toEqual([[`error CS2002 ${subject}`], [`error CS2002 ${subject}`]])
    expect(lone[0]?.fix).toContain('Start the SPIRE agent')
    expect(none[0]?.fix).toContain('csi.spiffe.io')
  })

  test('that is a file or a folder is no socket', async () => {
    writeFileSync(join(folder, 'file'), '')
    mkdirSync(join(folder, 'api.sock'))
    expect(findingOf(await examine(`unix:${folder}/file`), 'CS2003').seen).toContain('is a file')
    expect(findingOf(await examine(`unix:${folder}/api.sock`), 'CS2003').seen).toContain('is a folder')
  })

  test('that nobody listens on any more is told', async () => {
    const path = join(folder, 'left.sock')
    // what a process leaves that was killed
    const words = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', words])
    const found = findingOf(await examine(`unix:${path}`), 'CS2005')
    expect(found.seen).toContain('ECONNREFUSED')
  })

  test('of a port that nobody listens on is told', async () => {
    const server = await stranger(0)
    const { port } = server.address() as AddressInfo
    server.close()
    expect(wrongs(await examine(`tcp://127.0.0.1:${port}`))).toEqual([`error CS2005 ${subject}`])
  })

  // root may open everything: it becomes somebody else for the time being
  const root = process.getuid?.() === 0
  test('that this user may not open is told from one that is not there, by its mode and by that of its folder', async () => {
    await stranger(join(folder, 'api.sock'))
    const asNobody = async (): ReturnType<typeof examine> => {
      if (root) process.seteuid?.(65_534)
      try {
        return await examine(`unix:${folder}/api.sock`)
      } finally {
        if (root) process.seteuid?.(0)
      }
    }
    chmodSync(folder, 0o755)
    chmodSync(join(folder, 'api.sock'), root ? 0o600 : 0o000)
    const socket = findingOf(await asNobody(), 'CS2004')
    expect(socket.seen).toMatch(/EACCES.*it may not be opened: mode 0[06]00, owned by uid \d+/)
    chmodSync(folder, root ? 0o700 : 0o000)
    expect(findingOf(await asNobody(), 'CS2004').seen).toContain('folders')
    chmodSync(folder, 0o700)
  })
})

describe('what answers', () => {
  test('is no Workload API', async () => {
    await stranger(join(folder, 'api.sock'))
    expect(wrongs(await examine(`unix:${folder}/api.sock`))).toEqual([`error CS2006 ${subject}`])
  })

  test.each([
    [status.PERMISSION_DENIED, 'CS2009', 'spire-server entry create'],
    [status.INVALID_ARGUMENT, 'CS2007', 'workload.spiffe.io'],
    [status.UNIMPLEMENTED, 'CS2008', 'Upgrade'],
    [status.UNAVAILABLE, 'CS2006', 'log of the agent'],
    [status.INTERNAL, 'CS2006', 'log of the agent'],
  ])('with gRPC status %d is %s', async (code, finding, fix) => {
    const api = await fake()
    api.refuse('FetchX509SVID', code, 'no')
    api.refuse('FetchJWTBundles', code, 'no')
    const checks = await examine(api.address)
    expect(wrongs(checks)).toEqual([`error ${finding} ${subject}`])
    expect(checks[0]?.fix).toContain(fix)
  })

  test('with something that breaks the specification is told, and what is sound beside it is looked at', async () => {
    const api = await fake()
    serve(api)
    api.push('FetchX509SVID', x509Answer([svidMessage(authority(), agent, { x509SvidKey: Buffer.alloc(0) })]))
    const checks = await examine(api.address)
    expect(wrongs(checks)).toEqual([`error CS2010 ${subject}`])
    expect(checks.map(({ seen }) => seen).join()).toContain('the bundles of acme.example are good')
  })

  test('for only one kind of SVID is a warning', async () => {
    const api = await fake()
    serve(api)
    api.refuse('FetchX509SVID', status.UNIMPLEMENTED)
    expect(wrongs(await examine(api.address))).toEqual([`warning CS2008 ${subject}`])
  })
})

describe('waiting', () => {
  test('lasts until an identity comes through, and is told once', async () => {
    const api = await fake()
    api.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    serve(api)
    api.refuse('FetchX509SVID', status.PERMISSION_DENIED, 'no identity issued')
    const told: string[] = []
    const examined = examine(api.address, { wait: 20_000, progress: (text: string) => told.push(text) })
    await api.calls('FetchX509SVID', 2)
    serve(api)
    expect(wrongs(await examined)).toEqual([])
    expect(told).toEqual([expect.stringMatching(/^waiting up to 20 s for unix:.*PERMISSION_DENIED/)])
  })

  test('ends at once when it is told to', async () => {
    const api = await fake()
    api.refuse('FetchX509SVID', status.PERMISSION_DENIED)
    const stop = new AbortController()
    const examined = examine(api.address, { wait: 60_000, signal: stop.signal, progress: () => stop.abort() })
    await expect(examined).rejects.toThrow(/abort/i)
  })

  test('is not for what will not change by itself', async () => {
    const api = await fake()
    for (const method of ['FetchX509SVID', 'FetchJWTBundles'] as const) api.refuse(method, status.UNIMPLEMENTED)
    expect(wrongs(await examine(api.address, { wait: 60_000 }))).toEqual([`error CS2008 ${subject}`])
    expect(api.seen).toHaveLength(2)
  })
})
