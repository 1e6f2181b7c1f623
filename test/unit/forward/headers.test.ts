import { describe, expect, test } from 'vitest'
import { upstreamHeaders, withoutDigests } from '../../../src/forward/headers.ts'
import { describeUpstream } from '../../../src/forward/upstream.ts'
import { sketchCall, sketchRoute } from '../../support/question.ts'

type Pair = readonly [string, string]

function sent(headers: readonly Pair[], credential: string | null = null, length: number | null = null): string[] {
  const list = upstreamHeaders(sketchCall({ headers }), describeUpstream(sketchRoute({ credential })), length)
  return list.flatMap((each, index) => (index % 2 === 0 ? [`${each}: ${list[index + 1]}`] : []))
}

describe('upstreamHeaders', () => {
  test('names the upstream as Host where that is not what undici derives from the origin', () => {
    const to = { ...sketchRoute().to, authority: 'tenant.acme.example' }
    const list = upstreamHeaders(sketchCall({ headers: [['host', 'x']] }), describeUpstream(sketchRoute({ credential: null, to })), null)
    expect(list).toEqual(['host', 'tenant.acme.example'])
  })

  test('passes ordinary fields on, in order and with repetitions', () => {
    const given: Pair[] = [
      ['host', '127.0.0.1:7420'],
      ['accept', 'a/b'],
      ['x-b', '1'],
      ['accept-encoding', 'gzip'],
      ['x-b', '2'],
    ]
    expect(sent(given)).toEqual(['accept: a/b', 'x-b: 1', 'accept-encoding: gzip', 'x-b: 2'])
  })

  test.each([
    'connection',
    'keep-alive',
    'proxy-connection',
    'proxy-authorization',
    'proxy-anything',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'http2-settings',
    'expect',
    'content-length',
    'authorization',
    'x-api-key',
    'x-goog-api-key',
    'cookie',
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-client-cert',
    'x-real-ip',
    'client-cert',
    'client-cert-chain',
    'ssl-client-cert',
    'x-client-cert',
    'x-ssl-cert',
    'x-ssl-client-cert',
    'x-arr-clientcert',
    'x-amzn-mtls-clientcert',
    'x-amzn-mtls-clientcert-leaf',
    'workload-identity-token',
    'workload-proof-token',
    'dpop',
    'countersign-task',
    'countersign-anything',
  ])('ends %s here, on every route', (name) => {
    expect(sent([[name, 'x']])).toEqual([])
    expect(sent([[name, 'x']], 'crm')).toEqual(['accept-encoding: identity'])
  })

  test('drops what any Connection field names, in any case, and nothing else', () => {
    const given: Pair[] = [
      ['connection', 'keep-alive, X-One'],
      ['x-one', '1'],
      ['connection', ' x-two '],
      ['x-two', '2'],
      ['x-three', '3'],
    ]
    expect(sent(given)).toEqual(['x-three: 3'])
  })

  test('asks for an answer it can read where a credential goes along', () => {
    expect(sent([['accept-encoding', 'br']], 'crm')).toEqual(['accept-encoding: identity'])
  })

  test('announces the length of a stream that has one', () => {
    expect(sent([['content-length', '7']], null, 5)).toEqual(['content-length: 5'])
  })

  test.each(['http://127.0.0.1:7420/t/t_1/crm/x', 'http://127.0.0.1:7420', 'HTTPS://127.0.0.1:7420?x', 'http://127.0.0.1:7420#x'])(
    'does not tell the upstream where we listen: %s',
    (referer) => {
      expect(sent([['referer', referer]])).toEqual([])
    },
  )

  test.each(['api-key', 'private-token', 'x-vault-token', 'x-amz-security-token'])(
    'drops a key of the agent in %s where a credential is lent',
    (name) => {
      expect(sent([[name, 'mine']], 'crm')).not.toContain(`${name}: mine`)
      expect(sent([[name, 'mine']])).toEqual([`${name}: mine`])
    },
  )

  test.each(['http://localhost:7420/t/x', 'http://[::1]:7420/', 'http://user@127.0.0.1:1/', 'HTTP://LOCALHOST'])(
    'drops a referer by another name of this machine: %s',
    (referer) => {
      expect(sent([['referer', referer]])).toEqual([])
    },
  )

  test.each(['https://acme.example/', 'https://127.0.0.1.acme.example/', 'http://localhost.acme.example/', '/x', ''])(
    'passes another referer on: %s',
    (referer) => {
      expect(sent([['referer', referer]])).toEqual([`referer: ${referer}`])
    },
  )
})

test('what an agent says of the bytes of its body goes from a list, and nothing else', () => {
  const list = [
    'content-type',
    'digest',
    'Content-MD5'.toLowerCase(),
    'x',
    'content-digest',
    'sha-256=:x:',
    'repr-digest',
    'x',
    'x-digest',
    'content-md5',
  ]
  expect(withoutDigests(list)).toEqual(['content-type', 'digest', 'x-digest', 'content-md5'])
})
