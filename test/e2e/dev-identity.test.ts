import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, describe, expect, test } from 'vitest'
import { Command, countersign } from '../support/command-line.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-dev-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Starts the development issuer on a socket of its own; resolves when it has printed where it is. */
async function served(
  name: string,
  ...args: string[]
): Promise<{ readonly command: Command; readonly address: string; readonly socket: string }> {
  const socket = join(folder, name)
  const command = new Command(['dev-identity', '--socket', socket, ...args])
  await command.until(({ stdout }) => stdout.includes('\n'))
  return { command, address: command.stdout.trim().replace('SPIFFE_ENDPOINT_SOCKET=', ''), socket }
}

describe('dev-identity', () => {
  test('prints a line for the environment, mints JWT-SVIDs on request, and takes its socket away when it is stopped', async () => {
    const { command, address, socket } = await served('tokens.sock', '--trust-domain', 'dev.example', '--ttl', '1m')
    await using _ = command
    expect(address).toBe(`unix:${socket}`)
    await command.until(({ stderr }) => stderr.includes('for development only'))
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    const env = { SPIFFE_ENDPOINT_SOCKET: address }
    const { code, stdout } = await countersign(['dev-identity', 'mint', '--audience', 'spiffe://dev.example/countersign'], { env })
    expect(code).toBe(0)
    const { sub, aud, exp = 0, iat = 0 } = decodeJwt(stdout.trim())
    expect({ sub, aud, lifetime: exp - iat }).toEqual({
      sub: 'spiffe://dev.example/agent',
      aud: ['spiffe://dev.example/countersign'],
      lifetime: 60,
    })
    command.signal('SIGTERM')
    expect(await command.exited).toBe(0)
    expect(() => statSync(socket)).toThrow(/ENOENT/)
  })

  test('mints X.509-SVIDs as files that fit together, the key for its owner alone', async () => {
    const { command, address } = await served('certificates.sock', '--id', 'spiffe://dev.example/a', '--id', 'spiffe://dev.example/b')
    await using _ = command
    const out = join(folder, 'b')
    const args = ['dev-identity', 'mint', '--socket', address, '--id', 'spiffe://dev.example/b', '--out', out]
    expect(await countersign(args)).toMatchObject({ code: 0, stdout: 'spiffe://dev.example/b\n' })
    const leaf = new X509Certificate(readFileSync(join(out, 'svid.pem')))
    const authorities = readFileSync(join(out, 'bundle.pem'), 'utf8').match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []
    expect(leaf.subjectAltName).toContain('URI:spiffe://dev.example/b')
    expect(leaf.checkPrivateKey(createPrivateKey(readFileSync(join(out, 'key.pem'))))).toBe(true)
    expect(authorities.some((pem) => leaf.verify(new X509Certificate(pem).publicKey))).toBe(true)
    expect(statSync(join(out, 'key.pem')).mode & 0o777).toBe(0o600)
  })

  test('says which identities there are when the wanted one is not given, and exits 1', async () => {
    const { command, address } = await served('wanted.sock')
    await using _ = command
    const wanted = ['--id', 'spiffe://acme.example/other', '--socket', address]
    const token = await countersign(['dev-identity', 'mint', '--audience', 'x', ...wanted])
    expect(token).toMatchObject({ code: 1, stdout: '' })
    expect(token.stderr).toContain('PERMISSION_DENIED')
    const files = await countersign(['dev-identity', 'mint', '--out', join(folder, 'none'), ...wanted])
    expect(files).toMatchObject({ code: 1, stdout: '' })
    expect(files.stderr).toContain('spiffe://acme.example/agent')
  })

  test('exits 69 when nobody serves, and when the socket cannot be had', async () => {
    const nobody = await countersign(['dev-identity', 'mint', '--audience', 'x', '--socket', `unix:${join(folder, 'nobody.sock')}`])
    expect(nobody).toMatchObject({ code: 69, stdout: '' })
    writeFileSync(join(folder, 'file'), '')
    expect(await countersign(['dev-identity', '--socket', join(folder, 'file')])).toMatchObject({ code: 69, stdout: '' })
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('')
  })

  test('does not take a socket from another one that serves', async () => {
    const { command, socket } = await served('taken.sock')
    await using _ = command
    expect((await countersign(['dev-identity', '--socket', socket])).code).toBe(69)
    expect((await countersign(['dev-identity', 'mint', '--audience', 'x', '--socket', `unix:${socket}`])).code).toBe(0)
  })

  test.each([
    [['--ttl', '1s'], '--ttl'],
    [['--ttl', 'soon'], '--ttl'],
    [['--id', 'spiffe://acme.example'], 'not the SPIFFE ID of a workload'],
    [['--id', 'spiffe://acme.example/a', '--id', 'spiffe://other.example/b'], 'not in acme.example'],
    [['--trust-domain', 'Acme'], 'no trust domain name'],
    [['--audience', 'x'], 'go with mint'],
    [['mint'], 'either --audience or --out'],
    [['mint', '--audience', 'x', '--out', 'y'], 'either --audience or --out'],
    [['mint', '--audience', 'x', '--socket', 'http://127.0.0.1'], 'must start with unix: or tcp:'],
    [['serve'], 'give no arguments, or mint'],
  ])('%j is wrong usage and says why', async (args, why) => {
    const { code, stdout, stderr } = await countersign(['dev-identity', ...args])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toContain(why)
  })
})
