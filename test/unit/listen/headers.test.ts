import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readHead, type Head } from '../../../src/listen/headers.ts'

const limits = { headerBytes: 1000, headerCount: 10 }
const task = 't_01JD00000000000000000000AB'

function head(...more: string[]): Head {
  return readHead(['Host', 'localhost', ...more], limits)
}

function problem(...more: string[]): string | undefined {
  return head(...more).problem?.reasons[0]
}

describe('canonical headers', () => {
  it('keep order and values, names in lower case', () => {
    const { headers, problem: none } = head('X-B', ' 1', 'Accept', 'A', 'x-b', '2')
    expect(none).toBeNull()
    expect(headers).toEqual(['host', 'localhost', 'x-b', ' 1', 'accept', 'A', 'x-b', '2'])
  })

  it('hold names that mean something to JavaScript as what they are', () => {
    expect(head('constructor', 'x').headers).toContain('constructor')
    expect(problem('__proto__', 'x')).toBe('a header name holds an underscore')
  })

  it('lose what Connection names, and an HTTP2-Settings that upgrades nothing', () => {
    const {
      headers,
      nominated,
      problem: none,
    } = head('Connection', 'close, X-Hop ,, foo', 'X-Hop', '1', 'X-Stay', '2', 'Foo', '3', 'HTTP2-Settings', 'AAAA')
    expect(none).toBeNull()
    expect(nominated).toEqual(['x-hop', 'foo'])
    expect(headers).toEqual(['host', 'localhost', 'connection', 'close, X-Hop ,, foo', 'x-stay', '2'])
  })
})

describe('a name', () => {
  it.each(['transfer_encoding', 'X_Countersign_Task', '_'])('with an underscore is refused: %s', (name) => {
    expect(problem(name, 'x')).toBe('a header name holds an underscore')
  })

  it.each(['a b', 'a:', 'a\t', '', 'é', 'a(b', 'a\0', '"a"', 'a/b', 'a@b', '{a}'])('outside the token grammar is refused: %j', (name) => {
    expect(problem(name, 'x')).toBeDefined()
  })
})

describe('a value', () => {
  it.each(['a\rb', 'a\nb', 'a\0b', '\x01', 'a\x7f', 'a\x1b[0m', 'Ā', 'a\r\n b'])('with %j is refused', (value) => {
    expect(problem('X-A', value)).toBe('a header value holds a control character')
  })

  it('may hold tabs, blanks and bytes above ASCII', () => {
    expect(problem('X-A', 'a\tb c\u00e9\u00ff')).toBeUndefined()
  })
})

describe('Host', () => {
  it.each(['localhost', 'LOCALHOST:80', '[::1]:7420', '127.0.0.1', 'my_service.local', 'a.b-c.'])('is read: %s', (host) => {
    expect(readHead(['Host', host], limits)).toMatchObject({ host: host.toLowerCase(), problem: null })
  })

  it.each([
    '',
    'a b',
    'user@localhost',
    'localhost/x',
    'localhost:',
    'localhost:x',
    'localhost:123456',
    '[::1',
    '::1',
    'a,b',
    'localhost?',
    'a%2eb',
    'héllo',
    'a\\b',
    'localhost:80:80',
  ])('is refused: %j', (host) => {
    expect(readHead(['Host', host], limits).problem?.code).toBe('listen.malformed')
  })

  it('is obligatory', () => {
    expect(readHead([], limits).problem?.reasons).toEqual(['the request has no Host'])
  })
})

describe('what may come once', () => {
  it.each(['Host', 'Content-Length', 'Transfer-Encoding', 'Content-Type', 'Expect', 'Authorization', 'X-Api-Key', 'Countersign-Task'])(
    '%s is refused twice, even when alike',
    (name) => {
      expect(readHead(['Host', 'a', name, '1', name.toUpperCase(), '1'], limits).problem?.code).toBe('listen.malformed')
      expect(problem('Content-Type', 'a', 'content-type', 'a')).toBe('a header that may come once came twice')
    },
  )
})

describe('framing', () => {
  it('is a plain Content-Length, exactly chunked, or no body', () => {
    expect(head('Content-Length', '0')).toMatchObject({ length: 0, problem: null })
    expect(head('Content-Length', '42')).toMatchObject({ length: 42, problem: null })
    expect(head('Transfer-Encoding', 'chunked')).toMatchObject({ length: null, problem: null })
    expect(head()).toMatchObject({ length: 0, problem: null })
  })

  it.each(['+1', '-1', '01', '1 ', ' 1', '1,1', '0x1', '1e1', '', '1.0', '1_0', '٣', '1234567890123456', '1\t'])(
    'refuses Content-Length %j',
    (value) => {
      expect(problem('Content-Length', value)).toBeDefined()
    },
  )

  it.each([
    'Chunked',
    'gzip, chunked',
    'chunked, chunked',
    'chunked, identity',
    'identity',
    'xchunked',
    'chunked ',
    '',
    '"chunked"',
    'chunked;q=1',
    '\tchunked',
  ])('refuses Transfer-Encoding %j', (value) => {
    expect(problem('Transfer-Encoding', value)).toBe('Transfer-Encoding is not exactly chunked')
  })

  it('refuses both together, in either order', () => {
    expect(problem('Content-Length', '1', 'Transfer-Encoding', 'chunked')).toBe('Content-Length and Transfer-Encoding are both there')
    expect(problem('Transfer-Encoding', 'chunked', 'Content-Length', '1')).toBe('Content-Length and Transfer-Encoding are both there')
  })
})

describe('Connection', () => {
  it.each([
    ...'authorization Proxy-Authorization X-API-Key x-goog-api-key Cookie Host Content-Length Transfer-Encoding'.split(' '),
    ...'Content-Type'.split(' '),
    ...'Content-Encoding Countersign-Task countersign-anything X-Amz-Target X-Forwarded-For X-HTTP-Method-Override'.split(' '),
    ...'Sec-Fetch-Site Idempotency-Key DPoP'.split(' '),
  ])('that names %s is refused', (name) => {
    expect(problem('Connection', `close, ${name}`)).toBe('Connection names a header that must not be dropped')
    expect(problem('Connection', 'close', 'Connection', name)).toBe('Connection names a header that must not be dropped')
  })

  it.each(['a b', 'a/b', 'x_y', '@'])('that names no header is refused: %s', (token) => {
    expect(problem('Connection', token)).toBeDefined()
  })
})

describe('other headers that listen reads', () => {
  it.each(['h2c', 'websocket', 'websocket, h2c', 'TLS/1.0', ''])('Upgrade: %s is refused', (value) => {
    expect(problem('Connection', 'upgrade', 'Upgrade', value)).toBe('the request asks to upgrade the connection')
  })

  it('Expect is 100-continue or refused', () => {
    expect(head('Expect', '100-Continue')).toMatchObject({ expectsContinue: true, problem: null })
    for (const value of ['100-continue, x', '200-ok', '', '100-continue;q=1']) expect(problem('Expect', value)).toBeDefined()
  })

  it('Countersign-Task may be a token, signed or not: what it is worth is found out later', () => {
    for (const token of ['eyJh.eyJz.c2ln', 'eyJh.eyJz.']) {
      expect(head('Countersign-Task', token)).toMatchObject({
        task: null,
        carried: { token, transaction: null, prompt: null, dependsOn: null },
        problem: null,
      })
    }
    for (const value of ['a.b', 'a.b.c.d', 'a.b.c=', `a.b.${'c'.repeat(4096)}`]) expect(problem('Countersign-Task', value)).toBeDefined()
    expect(head('Countersign-Task', task).carried).toBeNull()
  })

  it('Countersign-Prompt is a digest or is refused, and Txn-Token is kept as it came', () => {
    const prompt = `sha256:${'0a'.repeat(32)}`
    expect(head('Countersign-Prompt', prompt, 'Txn-Token', 'x y').carried).toEqual({
      token: null,
      transaction: 'x y',
      prompt,
      dependsOn: null,
    })
    for (const value of ['', 'the plan', prompt.toUpperCase(), `${prompt}0`]) expect(problem('Countersign-Prompt', value)).toBeDefined()
    const id = 'c_01M8DC72ZE1P8KZXC65VEH07JZ'
    expect(head('Countersign-Depends-On', id).carried).toMatchObject({ dependsOn: id })
    for (const value of ['', 'c_1', id.toLowerCase(), `${id}, ${id}`, id.replace('c_', 't_')])
      expect(problem('Countersign-Depends-On', value)).toBeDefined()
    expect(problem('Countersign-Depends-On', id, 'Countersign-Depends-On', id)).toBe('a header that may come once came twice')
    expect(problem('Txn-Token', 'a', 'Txn-Token', 'b')).toBe('a header that may come once came twice')
  })

  it('Countersign-Task names a task or is refused', () => {
    expect(head('Countersign-Task', task)).toMatchObject({ task, problem: null })
    for (const value of ['', 't_1', `${task} `, `${task},${task}`]) expect(problem('Countersign-Task', value)).toBeDefined()
  })

  it('web pages and overrides are noticed', () => {
    expect(head('Origin', 'https://evil.example').browser).toBe(true)
    expect(head('Sec-Fetch-Site', 'cross-site').browser).toBe(true)
    expect(head('Sec-Fetch-Mode', 'cors').browser).toBe(false)
    const names = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X-Original-URL', 'X-Rewrite-URL']
    for (const name of names) expect(head(name, 'x').overrides).toEqual([name.toLowerCase()])
  })
})

describe('limits', () => {
  it('count headers and bytes', () => {
    expect(head(...Array.from({ length: 9 }, () => ['a', 'b']).flat()).problem).toBeNull()
    expect(head(...Array.from({ length: 10 }, () => ['a', 'b']).flat()).problem?.code).toBe('listen.too-large')
    expect(head('a', 'x'.repeat(1000 - 17 - 5)).problem).toBeNull()
    expect(head('a', 'x'.repeat(1000 - 17 - 4)).problem?.code).toBe('listen.too-large')
  })
})

it('any list of headers is read without a throw, and a head without problem has only clean names and values', () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('Host', 'Connection', 'Content-Length', 'Transfer-Encoding', 'chunked', '1', 'localhost', '__proto__', 'Expect'),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (raw) => {
      const read = readHead(raw, limits)
      if (read.problem !== null) return
      for (const [at, text] of read.headers.entries())
        expect(text).toMatch(at % 2 === 0 ? /^[a-z0-9!#$%&'*+.^`|~-]+$/ : /^[\t\x20-\x7e\x80-\xff]*$/)
    }),
    { numRuns: 2000 },
  )
})
