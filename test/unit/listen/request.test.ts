import { describe, expect, it } from 'vitest'
import { addressTable } from '../../../src/listen/address.ts'
import { readRequest, type ReadRequest } from '../../../src/listen/request.ts'
import { routeAddress, strictRelax, wideLimits } from '../../support/listen-rig.ts'

const task = 't_01JD00000000000000000000AB'
const table = addressTable(
  [
    routeAddress('crm'),
    routeAddress('git', {
      refusals: 'github',
      relax: { ...strictRelax, encodedSlash: true },
      allowBody: true,
      browsers: true,
      selects: ['x-http-method', 'pick'],
    }),
  ],
  [],
)

function read(line: string, headers: readonly string[] = [], limits = wideLimits): ReadRequest {
  const [method = '', target = '', version = '1.1'] = line.split(' ')
  return readRequest({ method, scheme: 'http', target, version, headers: ['Host', 'localhost', ...headers] }, null, table, limits)
}

function problem(line: string, headers: readonly string[] = [], limits = wideLimits): string | null {
  const { problem: found } = read(line, headers, limits)
  return found === null ? null : [found.code, ...found.reasons].join(': ')
}

describe('a request', () => {
  it('is addressed byte for byte', () => {
    expect(read(`GET /t/${task}/crm/a%20b?c=%2f`)).toMatchObject({
      shape: 'problem',
      problem: null,
      address: {
        kind: 'route',
        route: 'crm',
        task,
        prefix: `/t/${task}/crm`,
        target: '/a%20b?c=%2f',
        path: '/a%20b',
        query: 'c=%2f',
        segments: ['a b'],
      },
    })
  })

  it('is refused when a header that chooses its operation came twice: of two, two readers could each take another', () => {
    expect(problem('GET /git/a', ['Pick', 'read', 'pick', 'drop'])).toBe('listen.malformed: a header that chooses the operation came twice')
    expect(problem('GET /git/a', ['Pick', 'read'])).toBeNull()
    expect(problem('GET /crm/a', ['Pick', 'read', 'pick', 'drop'])).toBeNull()
  })

  it('that is refused leads nowhere, keeps what came, and is answered in the words of its route', () => {
    expect(read('GET /git/../x')).toMatchObject({
      shape: 'github',
      problem: { code: 'listen.malformed' },
      address: { kind: 'none', route: null, prefix: '', target: '/git/../x', path: '/git/../x', segments: [] },
    })
  })

  it('names its task in the header or in the path; both must agree', () => {
    expect(read('GET /crm/a', ['Countersign-Task', task]).address.task).toBe(task)
    expect(problem(`GET /t/${task}/crm/a`, ['Countersign-Task', task])).toBeNull()
    expect(problem(`GET /t/${task}/crm/a`, ['Countersign-Task', task.replace('AB', 'AC')])).toBe(
      'listen.malformed: header and path name different tasks',
    )
  })

  it('gets the relaxations of its route alone', () => {
    expect(problem('GET /git/a%2Fb')).toBeNull()
    expect(problem('GET /crm/a%2Fb')).toBe('listen.malformed: the path holds an encoded slash')
    expect(problem('GET /.countersign/v1/tasks%2Fx')).toBe('listen.malformed: the path holds an encoded slash')
    expect(problem('GET /nothing/a%2Fb')).toBe('listen.malformed: the path holds an encoded slash')
  })

  it.each(['1.0', '0.9', '2.0'])('in HTTP/%s is refused', (version) => {
    expect(problem(`GET /crm/a ${version}`)).toBe('listen.malformed: only HTTP/1.1 is served')
  })

  it.each(['TRACE', 'CONNECT'])('by %s is refused', (method) => {
    expect(problem(`${method} /crm/a`)).toBe('listen.malformed: the method is not served')
  })

  it.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])('by %s has no body unless its route allows one', (method) => {
    for (const framing of [
      ['Content-Length', '1'],
      ['Transfer-Encoding', 'chunked'],
    ]) {
      expect(problem(`${method} /crm/a`, framing)).toBe('listen.malformed: the method takes no body')
      expect(problem(`${method} /.countersign/v1/tasks`, framing)).toBe('listen.malformed: the method takes no body')
      expect(problem(`${method} /git/a`, framing)).toBeNull()
    }
    expect(problem(`${method} /crm/a`, ['Content-Length', '0'])).toBeNull()
  })

  it('of a web page is refused unless its route allows them', () => {
    for (const name of ['Origin', 'Sec-Fetch-Site']) {
      expect(problem('GET /crm/a', [name, 'x'])).toBe('listen.malformed: the request comes from a web page')
      expect(problem('POST /.countersign/v1/tasks', [name, 'x'])).toBe('listen.malformed: the request comes from a web page')
      expect(problem('GET /git/a', [name, 'x'])).toBeNull()
    }
  })

  it('chooses another operation only by headers that its route lists', () => {
    expect(problem('POST /git/a', ['X-HTTP-Method', 'DELETE'])).toBeNull()
    expect(problem('POST /git/a', ['X-Method-Override', 'DELETE'])).toBe('listen.malformed: a header chooses another method or target')
    expect(problem('POST /crm/a', ['X-HTTP-Method', 'DELETE'])).toBe('listen.malformed: a header chooses another method or target')
    expect(problem('POST /.countersign/v1/tasks', ['X-Original-URL', '/'])).toBe(
      'listen.malformed: a header chooses another method or target',
    )
  })

  it('does not drop by Connection what chooses the operation of its route', () => {
    expect(problem('POST /git/a', ['Pick', 'x', 'Connection', 'pick'])).toBe(
      'listen.malformed: Connection names a header that must not be dropped',
    )
    expect(problem('POST /crm/a', ['Pick', 'x', 'Connection', 'pick'])).toBeNull()
  })

  it('is bounded in target and announced body', () => {
    const limits = { ...wideLimits, target: 20, body: 10 }
    expect(problem(`GET /crm/${'a'.repeat(15)}`, [], limits)).toBeNull()
    expect(problem(`GET /crm/${'a'.repeat(16)}`, [], limits)).toBe('listen.too-large: the request target is too long')
    expect(problem('POST /crm/a', ['Content-Length', '10'], limits)).toBeNull()
    expect(problem('POST /crm/a', ['Content-Length', '11'], limits)).toBe('listen.too-large: the body is too long')
  })

  it('to a place where nothing is passes listen: that it leads nowhere is for match to say', () => {
    expect(read('GET /nothing/x')).toMatchObject({
      problem: null,
      address: { kind: 'none', target: '/nothing/x', segments: ['nothing', 'x'] },
    })
  })
})
