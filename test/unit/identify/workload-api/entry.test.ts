import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { validateJwtSvidResponse } from '../../../../src/identify/workload-api/jwt-messages.ts'
import { FakeWorkloadApi } from '../../../support/fake-workload-api.ts'
import { foreignImports } from '../../../support/foreign-imports.ts'
import { agent, authority, jwtAnswer, jwtBundlesAnswer, svidMessage, tokenOf, x509Answer } from '../../../support/workload-rig.ts'

const root = resolve(import.meta.dirname, '../../../..')
const entry = join(root, 'src/identify/workload-api/workload-api.ts')
const run = promisify(execFile)

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).reverse()) each.close()
})

describe('the entry point of the package', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

  test('is what the build makes of the entry file, and the commands are where they were', () => {
    expect(manifest.exports).toEqual({
      './workload-api': {
        types: './dist/identify/workload-api/workload-api.d.ts',
        default: './dist/identify/workload-api/workload-api.js',
      },
      './package.json': './package.json',
    })
    expect(existsSync(entry)).toBe(true)
    expect(manifest.bin).toEqual({ countersign: './dist/main.js' })
  })

  test('brings nothing along but gRPC and what Node has', () => {
    expect(foreignImports(entry, { later: true })).toEqual(['@grpc/grpc-js'])
  })
})

describe('the examples of the page', () => {
  const blocks = Array.from(
    readFileSync(join(root, 'docs/workload-api.md'), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm),
    (match) => match[1] ?? '',
  )
  const folder = mkdtempSync(join(tmpdir(), 'workload-example-'))
  const files = blocks.map((_, index) => join(folder, `example-${index}.ts`))

  beforeAll(() => {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    for (const [index, block] of blocks.entries())
      writeFileSync(files[index] ?? '', block.replaceAll("'countersign/workload-api'", `'${pathToFileURL(entry)}'`))
    return () => rmSync(folder, { recursive: true })
  })

  /** Runs an example as a process of its own, against an endpoint; gives what it said. */
  async function play(index: number, fake: FakeWorkloadApi): Promise<string> {
    const options = { env: { SPIFFE_ENDPOINT_SOCKET: fake.address }, timeout: 15_000 }
    const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', files[index] ?? ''], options)
    return stdout
  }

  test('compile', async () => {
    const typed = blocks.map((block, index) => {
      const file = join(folder, `typed-${index}.ts`)
      writeFileSync(file, block.replaceAll("'countersign/workload-api'", `'${entry}'`))
      return file
    })
    const settings = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: true,
        rootDir: '/',
        allowImportingTsExtensions: true,
        rewriteRelativeImportExtensions: false,
        typeRoots: [join(root, 'node_modules/@types')],
      },
      files: typed,
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(settings))
    const said = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error: { stdout: string }) => error)
    expect(said.stdout).toBe('')
  })

  test('serve TLS with an SVID, and end when they are told to', async () => {
    const fake = await FakeWorkloadApi.start()
    open.push(fake)
    fake.push('FetchX509SVID', x509Answer([svidMessage(authority(), agent)]))
    const child = execFile(process.execPath, ['--disable-warning=ExperimentalWarning', files[0] ?? ''], {
      env: { SPIFFE_ENDPOINT_SOCKET: fake.address },
    })
    const said = await new Promise<string>((done, fail) => {
      child.stdout?.once('data', (text: string) => done(text))
      child.stderr?.once('data', (text: string) => fail(new Error(text)))
    })
    expect(said).toBe(`serving as ${agent}\n`)
    const ended = new Promise<number | null>((done) => child.once('exit', (code) => done(code)))
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('fetch a token and have one judged, and end by themselves', async () => {
    const fake = await FakeWorkloadApi.start()
    open.push(fake)
    const audience = 'spiffe://acme.example/orders'
    const claims = { sub: agent, aud: [audience], exp: 4_000_000_000 }
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' }))
    fake.answer('FetchJWTSVID', () => jwtAnswer({ id: agent, token: tokenOf(claims) }))
    fake.answer('ValidateJWTSVID', () => validateJwtSvidResponse.encode({ spiffeId: agent, claims }))
    expect(await play(1, fake)).toBe(`${agent} until 2096-10-02T07:06:40.000Z\nthe token is one of ${agent} for ["${audience}"]\n`)
  })

  test('wait for an endpoint that comes late: being waited for keeps a process alive', async () => {
    const fake = FakeWorkloadApi.absent()
    open.push(fake)
    // what is there at first hangs up on the first who comes, and goes away
    const hangingUp = createServer().listen(fake.address.slice('unix://'.length))
    await once(hangingUp, 'listening')
    const playing = play(1, fake)
    const [socket] = (await once(hangingUp, 'connection')) as [Socket]
    socket.destroy()
    hangingUp.close()
    fake.push('FetchJWTBundles', jwtBundlesAnswer({ 'acme.example': '{"keys":[]}' }))
    fake.answer('FetchJWTSVID', () =>
      jwtAnswer({ id: agent, token: tokenOf({ sub: agent, aud: 'spiffe://acme.example/orders', exp: 4e9 }) }),
    )
    fake.answer('ValidateJWTSVID', () => ({ code: 3, details: 'no' }))
    await fake.restart()
    expect(await playing).toContain('refused: invalid-token')
  })
})
