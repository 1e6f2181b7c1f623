import { ServerResponse, IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { bareRefusal, sendRefusal } from '../../../src/listen/refuse.ts'
import type { RefusalShape } from '../../../src/listen/call.ts'
import { Refusal, type Code } from '../../../src/refusal.ts'

interface Sent {
  readonly status: number
  readonly headers: string[]
  readonly body: string
}

/** What `sendRefusal` told a response that is on no wire. */
function send(refusal: Refusal, shape: RefusalShape, options: { task?: string; last?: boolean } = {}): Sent {
  const outgoing = new ServerResponse(new IncomingMessage(new Socket()))
  const sent = { status: 0, headers: [] as string[], body: '' }
  outgoing.writeHead = (status: number, headers?: unknown) => {
    Object.assign(sent, { status, headers })
    return outgoing
  }
  outgoing.end = (body?: unknown) => {
    sent.body = String(body)
    return outgoing
  }
  sendRefusal(outgoing, refusal, { call: 'c_1', task: options.task ?? null }, shape, options.last ?? false)
  return sent
}

function header(sent: Sent, name: string): string | undefined {
  const at = sent.headers.indexOf(name)
  return at === -1 ? undefined : sent.headers[at + 1]
}

const denied = new Refusal('decide.denied', {
  reasons: ['personal <data> & more'],
  detail: 'rule data.personal-to-partner',
  cause: new Error('inner'),
})

describe('a refusal', () => {
  it('is a problem document (RFC 9457) with code, call and task', () => {
    const sent = send(denied, 'problem', { task: 't_1' })
    expect(sent.status).toBe(403)
    expect(header(sent, 'Content-Type')).toBe('application/problem+json')
    expect(JSON.parse(sent.body)).toEqual({
      type: 'urn:countersign:refusal:decide.denied',
      title: 'Policy refused the call',
      status: 403,
      code: 'decide.denied',
      call: 'c_1',
      task: 't_1',
      reasons: ['personal <data> & more'],
      retry: 'never',
      terminal: true,
      error: { message: 'Policy refused the call; personal <data> & more', type: 'decide.denied', code: 'decide.denied' },
    })
  })

  it('leaves the task out when none is known', () => {
    expect(JSON.parse(send(denied, 'problem').body)).not.toHaveProperty('task')
  })

  it('is a JSON-RPC error with the problem as its data', () => {
    const { status, body } = send(denied, 'json-rpc')
    expect(status).toBe(403)
    expect(JSON.parse(body)).toMatchObject({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32001, message: 'Policy refused the call', data: { code: 'decide.denied', call: 'c_1' } },
    })
  })

  it('is a GitHub message', () => {
    expect(JSON.parse(send(denied, 'github').body)).toMatchObject({
      message: 'Policy refused the call; personal <data> & more',
      documentation_url: 'urn:countersign:refusal:decide.denied',
      status: '403',
      code: 'decide.denied',
    })
  })

  it('is an AWS error document in words that the SDKs know, escaped', () => {
    const sent = send(denied, 'aws-xml')
    expect(header(sent, 'Content-Type')).toBe('application/xml')
    expect(sent.body).toContain('<Error><Type>Sender</Type><Code>AccessDenied</Code>')
    expect(sent.body).toContain('<Message>decide.denied: Policy refused the call; personal &lt;data&gt; &amp; more</Message>')
    expect(sent.body).toContain('<RequestId>c_1</RequestId>')
    expect(send(new Refusal('decide.unavailable'), 'aws-xml').body).toContain('<Code>ServiceUnavailable</Code>')
    expect(send(new Refusal('forward.timeout'), 'aws-xml').body).toContain('<Code>InternalFailure</Code>')
    expect(send(new Refusal('match.body'), 'aws-xml').body).toContain('<Code>InvalidRequest</Code>')
  })

  it('is an AWS error in JSON for the services that speak it, with the problem beside it', () => {
    const sent = send(denied, 'aws-json')
    expect(header(sent, 'Content-Type')).toBe('application/x-amz-json-1.0')
    expect(header(sent, 'X-Amzn-RequestId')).toBe('c_1')
    expect(JSON.parse(sent.body)).toMatchObject({
      __type: 'AccessDeniedException',
      message: 'decide.denied: Policy refused the call; personal <data> & more',
      retry: 'never',
    })
    const typeOf = (code: Code): unknown => JSON.parse(send(new Refusal(code), 'aws-json').body)['__type']
    expect(typeOf('decide.rate-limited')).toBe('ThrottlingException')
    expect(typeOf('decide.unavailable')).toBe('ServiceUnavailableException')
    expect(typeOf('match.body')).toBe('InvalidRequestException')
  })

  it.each(['problem', 'json-rpc', 'github', 'aws-xml', 'aws-json'] as const)(
    'as %s tells neither detail nor cause, and is not kept',
    (shape) => {
      const sent = send(denied, shape)
      expect(sent.body).not.toMatch(/data\.personal|inner/)
      expect(header(sent, 'Cache-Control')).toBe('no-store')
      expect(header(sent, 'Countersign-Call')).toBe('c_1')
      expect(header(sent, 'Content-Length')).toBe(String(Buffer.byteLength(sent.body)))
    },
  )

  it('says what was decided, how to sign in, and when to come back', () => {
    expect(header(send(denied, 'problem'), 'Countersign-Decision')).toBe('deny')
    expect(header(send(new Refusal('approve.required'), 'problem'), 'Countersign-Decision')).toBe('ask')
    expect(header(send(new Refusal('identify.missing'), 'problem'), 'WWW-Authenticate')).toBe('Bearer')
    expect(header(send(new Refusal('identify.rejected'), 'problem'), 'WWW-Authenticate')).toBe('Bearer')
    expect(header(send(denied, 'problem'), 'WWW-Authenticate')).toBeUndefined()
    expect(header(send(new Refusal('listen.overloaded'), 'problem'), 'Retry-After')).toBe('1')
    expect(header(send(denied, 'problem'), 'Retry-After')).toBeUndefined()
  })

  it.each(['problem', 'json-rpc', 'github', 'aws-xml', 'aws-json'] as const)(
    'as %s carries its own challenge and nonce, and no other header of its own',
    (shape) => {
      const headers = { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': 'abc', 'Set-Cookie': 'a=b' }
      const refusal = new Refusal('identify.rejected', { headers })
      for (const sent of [
        send(refusal, shape),
        send(refusal.after({ bytesOut: 0, bytesIn: 0, bodySha256: null, dialled: null, proven: null }), shape),
      ]) {
        expect(sent.headers.filter((name) => name === 'WWW-Authenticate')).toHaveLength(1)
        expect(header(sent, 'WWW-Authenticate')).toBe('DPoP error="use_dpop_nonce"')
        expect(header(sent, 'DPoP-Nonce')).toBe('abc')
        expect(header(sent, 'Set-Cookie')).toBeUndefined()
      }
      expect(bareRefusal(refusal)).toContain('\r\nDPoP-Nonce: abc\r\n')
    },
  )

  it('tells clients that try every 5xx again when another try changes nothing', () => {
    expect(header(send(new Refusal('forward.redirect'), 'problem'), 'X-Should-Retry')).toBe('false')
    expect(header(send(new Refusal('listen.overloaded'), 'problem'), 'X-Should-Retry')).toBeUndefined()
    expect(header(send(denied, 'problem'), 'X-Should-Retry')).toBeUndefined()
  })

  it('closes the connection when it is the last', () => {
    expect(header(send(denied, 'problem', { last: true }), 'Connection')).toBe('close')
    expect(header(send(denied, 'problem'), 'Connection')).toBeUndefined()
  })

  it('of what was no request is a whole answer that closes', () => {
    const text = bareRefusal(new Refusal('listen.malformed', { reasons: ['no'] }))
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(text).toMatch(/\r\nConnection: close\r\n\r\n\{/)
    expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: 'listen.malformed', reasons: ['no'] })
  })
})
