import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { makeIdentify } from '../../../src/identify/identify.ts'
import type { IdentitySource } from '../../../src/identify/identify.ts'
import { openSource, SourceConfig } from '../../../src/identify/registry.ts'
import { bearer, identifyServices, KeptLog, refusalOf } from '../../support/identity-rig.ts'
import { Issuer } from '../../support/issuer.ts'

const issuer = new Issuer()
const servers: Server[] = []
const sources: IdentitySource[] = []

afterEach(async () => {
  for (const source of sources.splice(0)) source.close()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function listening(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/bundle`
}

function identifyOver(url: string): { identify: ReturnType<typeof makeIdentify>; log: KeptLog } {
  const log = new KeptLog()
  const config = SourceConfig.parse({ type: 'jwt-svid', trust_domain: issuer.trustDomain, keys: { url } })
  const source = openSource(config, identifyServices({ log, audience: issuer.audience }))
  sources.push(source)
  return { identify: makeIdentify({ sources: [source], clock: Date.now }), log }
}

describe('[Countersign: where keys come from] keys over real HTTP', () => {
  test('verify a token; the first call waits for them', async () => {
    const { identify } = identifyOver(await listening((_, response) => response.end(issuer.bundle())))
    expect(await identify(bearer(issuer.mint()))).toMatchObject({ id: issuer.id() })
  })

  test.each([301, 302, 307, 308])('are not looked for where a %d points', async (status) => {
    let followed = 0
    const target = await listening((_, response) => {
      followed += 1
      response.end(issuer.bundle())
    })
    const { identify, log } = identifyOver(await listening((_, response) => response.writeHead(status, { location: target }).end()))
    expect(await refusalOf(() => identify(bearer(issuer.mint())))).toMatchObject({ code: 'identify.unavailable' })
    expect(followed).toBe(0)
    expect(log.lines).toHaveLength(1)
  })

  test('are cut off at 1 MiB', async () => {
    const flood: RequestListener = (_, response) => {
      const piece = Buffer.alloc(65_536, 0x20)
      const more = (): void => void (response.writable && response.write(piece, () => setImmediate(more)))
      more()
    }
    const { identify, log } = identifyOver(await listening(flood))
    expect(await refusalOf(() => identify(bearer(issuer.mint())))).toMatchObject({ code: 'identify.unavailable' })
    expect(log.lines).toEqual([expect.objectContaining({ members: expect.objectContaining({ fault: 'larger than 1 MiB' }) })])
  })

  test('are given up when the source is closed, and no call hangs', async () => {
    const asked = Promise.withResolvers<void>()
    const { identify } = identifyOver(await listening(() => asked.resolve()))
    const refusal = refusalOf(() => identify(bearer(issuer.mint())))
    await asked.promise
    sources[0]?.close()
    expect(await refusal).toMatchObject({ code: 'identify.unavailable' })
  })
})
