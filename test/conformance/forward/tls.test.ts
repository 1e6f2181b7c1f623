import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { certificateFor, type TestCertificate } from '../../support/certificate.ts'
import { sketchLease, startRig, type Rig } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'

closeAfterEach()

interface Secure {
  readonly rig: Rig
  /** The name each handshake asked for. */
  readonly asked: (string | false | null)[]
  readonly requests: string[]
}

/** An upstream that calls itself `crm.acme.example`, on loopback, with this certificate. */
async function secure(certificate: TestCertificate, trusted: readonly string[] | undefined): Promise<Secure> {
  const asked: (string | false | null)[] = []
  const requests: string[] = []
  const server = https.createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    requests.push(`${request.headers.host} ${request.headers.authorization}`)
    response.end('ok')
  })
  server.on('secureConnection', (socket: TLSSocket) => asked.push(socket.servername))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await opened(Promise.resolve({ close: async () => void server.close() }))
  const authority = `crm.acme.example:${port}`
  const to = { origin: `https://${authority}`, scheme: 'https', authority, hostname: 'crm.acme.example', port, basePath: '' } as const
  const rig = await opened(
    startRig(port, {
      route: { to, credential: 'crm' },
      lease: sketchLease(),
      forward: {
        lookup: async () => [{ address: '127.0.0.1', family: 4 }],
        ca: trusted === undefined ? undefined : new Map([['crm', trusted]]),
      },
    }),
  )
  return { rig, asked, requests }
}

describe('TLS to an upstream', () => {
  test('names the route in the handshake and in Host, on the address that was judged', async () => {
    const certificate = certificateFor('crm.acme.example')
    const { rig, asked, requests } = await secure(certificate, [certificate.cert])
    for (const turn of [1, 2]) {
      expect(await (await fetch(rig.url)).text()).toBe('ok')
      expect(requests).toHaveLength(turn)
    }
    expect(asked).toEqual(['crm.acme.example'])
    expect(requests[0]).toMatch(/^crm\.acme\.example:\d+ Bearer s3cr3t-lent-to-one-task$/)
    expect(rig.ends[0]).toMatchObject({ dialled: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string })
  })

  test.each<[string, TestCertificate, boolean]>([
    ['an authority that nobody trusts', certificateFor('crm.acme.example'), false],
    ['another name', certificateFor('partner.example'), true],
  ])('sends no credential to a certificate of %s', async (_what, certificate, trusted) => {
    const { rig, requests } = await secure(certificate, trusted ? [certificate.cert] : undefined)
    const answer = await fetch(rig.url)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toMatchObject({ code: 'forward.untrusted' })
    expect(requests).toEqual([])
  })
})
