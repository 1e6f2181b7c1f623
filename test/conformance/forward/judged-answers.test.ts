import { describe, expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Outcome } from '../../../src/forward/forward.ts'
import { Refusal } from '../../../src/refusal.ts'
import { denied, drop, mask, raise, scriptedAnswers, type ScriptedAnswers } from '../../support/answers-rig.ts'
import { sketchLease, startRig, type Rig, type RigOptions } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { rawClient, rawServer, type RawConnection } from '../../support/sockets.ts'

closeAfterEach()

interface Answered {
  readonly text: string
  readonly body: string
  readonly status: number
  readonly end: Outcome | Refusal
  readonly rig: Rig
  /** What the upstream was asked. */
  readonly asked: string
}

const get = 'GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n'
const sha = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex')

function json(body: string, fields = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${fields}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`
}

function chunked(pieces: readonly string[], fields = 'Content-Type: application/json\r\n'): string {
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')
  return `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`
}

interface Asking extends RigOptions {
  readonly answers?: ScriptedAnswers
  readonly request?: string
}

async function answered(speak: string | ((connection: RawConnection) => unknown), options: Asking = {}): Promise<Answered> {
  const upstream = await opened(
    rawServer(async (connection) => {
      await connection.until((text) => text.includes('\r\n\r\n'))
      if (typeof speak === 'string') connection.socket.end(speak, 'latin1')
      else await speak(connection)
    }),
  )
  const { answers = scriptedAnswers(), request = get, ...rigOptions } = options
  const rig = await opened(startRig(upstream.port, { tool: { answer: 'json' }, forward: { answers }, ...rigOptions }))
  const client = await rawClient(rig.port)
  client.socket.write(request)
  const end = await rig.end(0)
  await client.closed
  const text = client.text()
  const asked = upstream.connections[0]?.text() ?? ''
  return { text, body: text.slice(text.indexOf('\r\n\r\n') + 4), status: Number(text.slice(9, 12)), end, rig, asked }
}

const masking = (...paths: string[]): Asking => ({ tool: { answer: null }, decision: { obligations: [mask(...paths)] } })
const code = (end: Outcome | Refusal): string | null => (end instanceof Refusal ? end.code : null)
const judgedOf = (end: Outcome | Refusal): unknown => (end instanceof Refusal ? end.effect?.answer : end.answer)

describe('an answer that policy judges', () => {
  test('[Countersign: judged answers] is shown whole when it is one strict document, and goes on byte for byte', async () => {
    const text = '{ "id" : 1.50, "name":"J\\u00f6rg" }'
    const answers = scriptedAnswers()
    const { body, end, asked } = await answered(json(text, 'ETag: "1"\r\n'), { answers })
    expect(body).toBe(text)
    expect(answers.seen).toEqual([
      {
        status: 200,
        headers: new Map([['content-type', 'application/json']]),
        body: { kind: 'json', parsed: { id: 1.5, name: 'Jörg' }, sample: text, size: text.length, judged: true, truncated: false },
      },
    ])
    expect(end).toMatchObject({ status: 200, ended: 'complete', bytesIn: text.length })
    expect(judgedOf(end)).toEqual({
      status: 200,
      effect: 'allow',
      observed: null,
      rules: [],
      controls: [],
      obligations: [],
      judged: true,
      truncated: false,
      masked: 0,
      dropped: 0,
      sha256: sha(text),
      sent: null,
      raised: [],
      fault: null,
      evalNs: 1000,
    })
    expect(asked).toMatch(/\r\naccept-encoding: identity\r\n/)
    expect(asked).not.toMatch(/gzip/)
  })

  test('[Countersign: judged answers] that is refused reaches the agent with no byte and no header of it', async () => {
    const { text, status, end } = await answered(json('{"canary":"secret-7f31"}', 'X-Canary: secret-7f31\r\nSet-Cookie: secret-7f31\r\n'), {
      answers: scriptedAnswers(denied),
    })
    expect(status).toBe(502)
    expect(text).not.toContain('7f31')
    expect(text).toContain('this may not come back')
    expect(code(end)).toBe('forward.response-refused')
    expect(judgedOf(end)).toMatchObject({ status: 200, effect: 'deny', rules: ['acme.no'], controls: ['ASI02', 'NHI5'], fault: 'acme.no' })
  })

  test('[Countersign: judged answers] is held until what it raises is written', async () => {
    const order: string[] = []
    let write: () => void = () => undefined
    const written = new Promise<void>((resolve) => (write = resolve))
    const answers = scriptedAnswers(
      { obligations: [raise('personal')] },
      {
        raise: async (_, classes) => {
          order.push(`raise ${classes.join()}`)
          await written
          order.push('written')
        },
      },
    )
    const going = answered(json('{"a":1}'), { answers })
    await new Promise((resolve) => setImmediate(resolve))
    setImmediate(write)
    const { body, end } = await going
    order.push('answered')
    expect(body).toBe('{"a":1}')
    expect(order).toEqual(['raise personal', 'written', 'answered'])
    expect(judgedOf(end)).toMatchObject({ raised: ['personal'] })
  })

  test('[Countersign: judged answers] is refused when what it raises cannot be written', async () => {
    for (const failing of [
      () => Promise.reject(new Error('disk')),
      () => {
        throw new Error('disk')
      },
    ]) {
      const { end, text } = await answered(json('{"a":"7f31"}'), {
        answers: scriptedAnswers({ obligations: [raise('x')] }, { raise: failing }),
      })
      expect(['record.failed', 'internal']).toContain(code(end))
      expect(text).not.toContain('7f31')
    }
  })

  test('by its head alone is not waited for', async () => {
    const answers = scriptedAnswers()
    const upstreamSays = async ({ socket }: RawConnection): Promise<void> => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Class: personal\r\nContent-Length: 4000\r\n\r\n')
      await Promise.resolve()
      socket.end('x'.repeat(4000))
    }
    const { body } = await answered(upstreamSays, { answers, tool: { answer: 'head' }, route: { answerHeaders: ['x-class', 'x-other'] } })
    expect(body.length).toBe(4000)
    expect(answers.seen[0]).toEqual({
      status: 200,
      headers: new Map([
        ['content-type', 'application/json'],
        ['x-class', 'personal'],
      ]),
      body: { kind: 'json', parsed: undefined, sample: null, size: 4000, judged: false, truncated: false },
    })
  })

  test.each([
    ['an announced length', json(`["${'x'.repeat(2000)}"]`)],
    ['chunks', chunked(['["', 'x'.repeat(2000), '"]'])],
  ])('beyond the bound, framed by %s, is judged by its beginning and streams on', async (_, bytes) => {
    const answers = scriptedAnswers()
    const { text, end } = await answered(bytes, { answers })
    expect(text).toContain('x'.repeat(2000))
    expect(answers.seen[0]?.body).toMatchObject({
      kind: 'json',
      parsed: undefined,
      sample: `["${'x'.repeat(62)}`,
      judged: false,
      truncated: true,
    })
    expect(judgedOf(end)).toMatchObject({ truncated: true, judged: false, sha256: null })
  })

  test('of another type is judged by a sample of text, and by nothing where it is no text', async () => {
    const sampled: readonly [string, string | null][] = [
      ['text/html', '{"a":1}'],
      ['application/x-ndjson', '{"a":1}'],
      ['image/png', null],
      ['application/json; charset=utf-16', null],
      ['text/plain; charset=UTF-16LE', null],
      ['application/json; charset=utf-8; charset=utf-7', '{"a":1}'],
      ['', null],
    ]
    for (const [type, sample] of sampled) {
      const answers = scriptedAnswers()
      const field = type === '' ? '' : `Content-Type: ${type}\r\n`
      const { body } = await answered(`HTTP/1.1 200 OK\r\n${field}Content-Length: 7\r\n\r\n{"a":1}`, { answers })
      expect(body).toBe('{"a":1}')
      expect(answers.seen[0]?.body).toMatchObject({ kind: 'other', parsed: undefined, sample, judged: false })
    }
  })

  test.each([
    ['two equal keys', '{"a":1,"\\u0061":2}'],
    ['keys that differ in case', '{"a":1,"A":2}'],
    ['a byte order mark', '\xef\xbb\xbf{"a":1}'],
    ['UTF-16', Buffer.from('{"a":1}', 'utf16le').toString('latin1')],
    ['no UTF-8', '{"a":"\xff"}'],
    ['a page', '<html>{"a":1}</html>'],
    ['two documents', '{"a":1}{"a":2}'],
    ['deep nesting', '['.repeat(70) + ']'.repeat(70)],
    ['an integer that readers round', '{"a":9007199254740993}'],
  ])('with %s under the name of JSON is not judged', async (_, text) => {
    const answers = scriptedAnswers()
    const { body } = await answered(json(text), { answers })
    expect(body).toBe(text)
    expect(answers.seen[0]?.body).toMatchObject({ kind: 'json', parsed: undefined, judged: false, truncated: false })
  })

  test('without a body is judged as such', async () => {
    const cases: readonly [string, string][] = [
      ['HTTP/1.1 204 No Content\r\nContent-Type: application/json\r\n\r\n', get],
      ['HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', get],
      [json(''), get],
      [chunked([]), get],
      ['HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n', get.replace('GET', 'HEAD')],
    ]
    for (const [bytes, request] of cases) {
      const answers = scriptedAnswers()
      const { end } = await answered(bytes, { answers, request })
      expect(end).toMatchObject({ ended: 'complete', bytesIn: 0 })
      expect(answers.seen[0]?.body).toMatchObject({ kind: 'none', parsed: undefined, judged: true })
    }
  })

  test('never shows policy the credential that comes back', async () => {
    const answers = scriptedAnswers()
    const text = '{"you":"s3cr3t-lent-to-one-task"}'
    const { body } = await answered(json(text, 'X-Class: s3cr3t-lent-to-one-task\r\n'), {
      answers,
      route: { credential: 'crm', answerHeaders: ['x-class'] },
      lease: sketchLease(),
    })
    expect(body).not.toContain('s3cr3t')
    expect(answers.seen).toHaveLength(1)
    expect(JSON.stringify([answers.seen[0]?.body, ...(answers.seen[0]?.headers ?? [])])).not.toContain('s3cr3t')
  })

  test('that is coded although nobody asked for it is refused', async () => {
    const zipped = gzipSync('{"a":1}').toString('latin1')
    const { end, text } = await answered(json(zipped, 'Content-Encoding: gzip\r\n'))
    expect(code(end)).toBe('forward.response-refused')
    expect(text).not.toContain(zipped)
  })

  test('passes unjudged where policy has nothing to say about answers', async () => {
    const { body, end } = await answered(json('{"a":1}'), { answers: scriptedAnswers(null) })
    expect(body).toBe('{"a":1}')
    expect(judgedOf(end)).toMatchObject({ effect: null, judged: false })
  })

  test('tells whom policy wants told, also of a refusal', async () => {
    const notify = { id: 'n', type: 'notify', properties: { to: 'soc', message: 'look' } } as const
    for (const verdict of [{ obligations: [notify] }, { ...denied, obligations: [notify, raise('x')] }]) {
      const answers = scriptedAnswers(verdict)
      await answered(json('{}'), { answers })
      expect(answers.fulfilled).toEqual([notify])
    }
  })

  test('informational answers before it say nothing', async () => {
    const answers = scriptedAnswers()
    const { body } = await answered(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${json('{"a":1}')}`, { answers })
    expect(body).toBe('{"a":1}')
    expect(answers.seen).toHaveLength(1)
  })

  test('keeps its trailers where it is not changed', async () => {
    const bytes = chunked(['{"a":', '1}'], 'Content-Type: application/json\r\nTrailer: x-sum\r\n').replace(
      '0\r\n\r\n',
      '0\r\nX-Sum: 1\r\n\r\n',
    )
    const { body } = await answered(bytes)
    expect(body).toBe('7\r\n{"a":1}\r\n0\r\nx-sum: 1\r\n\r\n')
  })
})

describe('an answer that nobody labels', () => {
  test('[AARM 2026-03-26 §R2.2] counts as the worst where that was chosen', async () => {
    const cases: readonly [Asking, readonly string[]][] = [
      [{ tool: { answer: 'json', data: [], reads: [] } }, ['unclassified']],
      [{ tool: { answer: 'head', data: [], reads: [] } }, ['unclassified']],
      [{ tool: { answer: 'json', data: ['personal'] } }, []],
      [{ tool: { answer: 'json', data: [], reads: [] }, decision: { obligations: [raise('personal')] } }, []],
    ]
    for (const [options, raised] of cases) {
      const answers = scriptedAnswers({}, { unlabelled: 'unclassified' })
      const { end } = await answered(json('{}'), { ...options, answers })
      expect(judgedOf(end)).toMatchObject({ raised })
      expect(answers.raised.flat()).toEqual(raised)
    }
  })

  test('[AARM 2026-03-26 §R2.2] counts as what policy labelled it, be it public', async () => {
    const answers = scriptedAnswers({ obligations: [raise('public')] }, { unlabelled: 'unclassified' })
    await answered(json('{}'), { answers, tool: { answer: 'json', data: [], reads: [] } })
    expect(answers.raised).toEqual([['public']])
  })

  test('[AARM 2026-03-26 §R2.2] raises nothing when it is refused: the agent got none of it', async () => {
    const answers = scriptedAnswers(denied, { unlabelled: 'unclassified' })
    await answered(json('{}'), { answers, tool: { answer: 'json', data: [], reads: [] } })
    expect(answers.raised).toEqual([])
  })
})

describe('an answer that policy masks', () => {
  const person = '{"id":7, "ssn":"078-05-1120","iban" : "DE12", "address":{"city":"Ulm","street":"x 1"}}'
  const describing =
    'ETag: "1"\r\nContent-MD5: abc=\r\nDigest: sha-256=x\r\nRepr-Digest: sha-256=:x:\r\nContent-Digest: sha-256=:x:\r\nAccept-Ranges: bytes\r\n'

  test('[Countersign: masked answers] goes on with stars, all else byte for byte, its length and validators its own', async () => {
    const { text, body, end } = await answered(json(person, describing), masking('/ssn', '/address/street'))
    const masked = person.replace('"078-05-1120"', '"***"').replace('"x 1"', '"***"')
    expect(body).toBe(masked)
    expect(text).toContain(`content-length: ${masked.length}`)
    expect(text).not.toMatch(/etag|digest|content-md5|accept-ranges|transfer-encoding/i)
    expect(judgedOf(end)).toMatchObject({ effect: null, masked: 2, dropped: 0, sha256: sha(person), sent: sha(masked) })
    expect(end).toMatchObject({ ended: 'complete', bytesIn: person.length })
    expect(JSON.stringify(end)).not.toMatch(/078|DE12/)
  })

  test('[Countersign: masked answers] obeys the verdict on the answer and the decision on the call together', async () => {
    const { body, end } = await answered(json(person), {
      answers: scriptedAnswers({ obligations: [drop('/address')] }),
      decision: { obligations: [mask('/ssn')] },
    })
    expect(JSON.parse(body)).toEqual({ id: 7, ssn: '***', iban: 'DE12' })
    expect(judgedOf(end)).toMatchObject({
      masked: 1,
      dropped: 1,
      obligations: [
        { id: 'm', type: 'mask_response' },
        { id: 'd', type: 'drop_response_fields' },
      ],
    })
  })

  test('[Countersign: masked answers] is read to its end where it was judged by its head', async () => {
    const options = { answers: scriptedAnswers({ obligations: [mask('/ssn')] }), tool: { answer: 'head' } } as const
    const { body } = await answered(chunked([person.slice(0, 20), person.slice(20)]), options)
    expect(body).toBe(person.replace('"078-05-1120"', '"***"'))
  })

  test('keeps its head and bytes where there is nothing to mask', async () => {
    const { text, body, end } = await answered(json('{"a":1}', 'ETag: "1"\r\n'), masking('/ssn'))
    expect(body).toBe('{"a":1}')
    expect(text).toContain('etag: "1"')
    expect(judgedOf(end)).toMatchObject({ masked: 0, sent: null })
  })

  test('has no trailers once it was changed', async () => {
    const bytes = chunked(['{"ssn":"1"}'], 'Content-Type: application/json\r\nTrailer: digest\r\n').replace(
      '0\r\n\r\n',
      '0\r\nDigest: x\r\n\r\n',
    )
    const { text } = await answered(bytes, masking('/ssn'))
    expect(text).not.toMatch(/trailer|digest/i)
    expect(text).toContain('{"ssn":"***"}')
  })

  test.each([
    ['is larger than the bound', json(`{"ssn":"${'7'.repeat(1100)}"}`)],
    ['turns out larger than the bound', chunked(['{"ssn":"', '7'.repeat(1100), '"}'])],
    ['is coded', json(gzipSync('{"ssn":"777"}').toString('latin1'), 'Content-Encoding: gzip\r\n')],
    ['is a part', json('"ssn":"777"}', 'Content-Range: bytes 1-12/13\r\n').replace('200 OK', '206 Partial Content')],
    ['is no JSON', 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nssn=777'],
    ['is a page with JSON in it', 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<a>{"ssn":"777"}</a>'],
    ['is two documents', json('{"a":1}{"ssn":"777"}')],
    ['is lines of documents', 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 21\r\n\r\n{"a":1}\n{"ssn":"777"}'],
    ['begins with a byte order mark', json('\xef\xbb\xbf{"ssn":"777"}')],
    ['is UTF-16', json(Buffer.from('{"ssn":"777"}', 'utf16le').toString('latin1'))],
    ['is nested deeper than anybody reads', json('['.repeat(65) + '{"ssn":"777"}' + ']'.repeat(65))],
    ['has a comment', json('{/*777*/"ssn":"777"}')],
  ])('[Countersign: masked answers] that %s is refused', async (_, bytes) => {
    const { text, status, end } = await answered(bytes, masking('/ssn'))
    expect(status).toBe(502)
    expect(code(end)).toBe('forward.response-refused')
    expect(text).not.toContain('777')
    expect(judgedOf(end)).toMatchObject({ fault: expect.any(String) })
  })

  test('is masked under every spelling of a key, each time it stands there, whatever it calls itself', async () => {
    for (const type of ['application/json', 'text/html', 'application/problem+json']) {
      const { body } = await answered(json('{"ssn":"1","\\u0073sn":"2"}').replace('application/json', type), masking('/ssn'))
      expect(body).toBe('{"ssn":"***","\\u0073sn":"***"}')
    }
  })

  test('does not tell by the head of a HEAD what its body would be', async () => {
    const bytes = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "1"\r\nContent-Length: 777\r\n\r\n`
    const { text, end } = await answered(bytes, { ...masking('/ssn'), request: get.replace('GET', 'HEAD') })
    expect(text).not.toMatch(/777|etag/i)
    expect(end).toMatchObject({ status: 200, ended: 'complete' })
  })

  test('still has the credential scrubbed that comes back in it', async () => {
    const { body } = await answered(json('{"ssn":"1","token":"s3cr3t-lent-to-one-task"}'), {
      ...masking('/ssn'),
      route: { credential: 'crm' },
      lease: sketchLease(),
    })
    expect(body).toBe('{"ssn":"***","token":"***********************"}')
  })

  test('one byte at a time costs no more than in one piece', async () => {
    const text = `{"ssn":"1","a":[${'1,'.repeat(30_000)}1]}`
    const answers = scriptedAnswers(null, { limits: { judged: 262_144, sample: 16_384 } })
    const began = performance.now()
    const { body } = await answered(chunked(text.split('')), { ...masking('/ssn'), forward: { answers } })
    expect(body).toBe(text.replace('"1"', '"***"'))
    expect(performance.now() - began).toBeLessThan(5000)
  })
})

describe('an event stream that policy masks', () => {
  const events = (...lines: string[]): string =>
    `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n${lines.join('\n')}`

  test('[Countersign: masked answers] is masked event by event', async () => {
    const { text, end } = await answered(
      events(': ssn 777', 'event: person', 'id: 1', 'data: {"ssn":"777",', 'data: "n":1}', '', 'data: {"n":2}', '', 'data: [DONE]', '', ''),
      masking('/ssn'),
    )
    const body = text.slice(text.indexOf('\r\n\r\n') + 4).replaceAll(/(^|\r\n)[0-9a-f]+\r\n|\r\n$/g, '')
    expect(body).toContain(':\nevent: person\nid: 1\ndata: {"ssn":"***",\ndata: "n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n')
    expect(text).not.toContain('777')
    expect(end).toMatchObject({ ended: 'complete', status: 200 })
    expect(judgedOf(end)).toMatchObject({ masked: 1 })
  })

  test('[Countersign: masked answers] is cut before the first event that cannot be masked', async () => {
    const { text, end } = await answered(events('data: {"ssn":"1"}', '', 'data: ssn=777', '', 'data: {"after":1}', '', ''), masking('/ssn'))
    expect(text).not.toMatch(/777|after/)
    expect(end).toMatchObject({ status: 200, ended: 'cut' })
  })

  test('[Countersign: masked answers] does not go on in one event without an end', async () => {
    const { text, end } = await answered(events(`data: {"a":"${'7'.repeat(2000)}`), masking('/ssn'))
    expect(text).not.toContain('777')
    expect(end).toMatchObject({ ended: 'cut' })
  })

  test('goes on at once, event by event', async () => {
    let proceed: () => void = () => undefined
    const first = new Promise<void>((resolve) => (proceed = resolve))
    const upstream = await opened(
      rawServer(async (connection) => {
        const { socket } = connection
        await connection.until((text) => text.includes('\r\n\r\n'))
        socket.write(events('data: {"ssn":"1"}', '', ''))
        await first
        socket.end('data: {"ssn":"2"}\r\n\r\n')
      }),
    )
    const rig = await opened(startRig(upstream.port, { ...masking('/ssn'), forward: { answers: scriptedAnswers() } }))
    const client = await rawClient(rig.port)
    client.socket.write(get)
    await client.until((text) => text.includes('"***"'))
    proceed()
    await client.closed
    expect(client.text().match(/"\*\*\*"/g)).toHaveLength(2)
  })
})

describe('while an answer is held', () => {
  test('the agent that leaves ends it', async () => {
    const upstream = await opened(
      rawServer(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a"')),
    )
    const answers = scriptedAnswers()
    const rig = await opened(startRig(upstream.port, { tool: { answer: 'json' }, forward: { answers } }))
    const client = await rawClient(rig.port)
    client.socket.write(get)
    await (await upstream.connection(0)).until((text) => text.includes('\r\n\r\n'))
    client.socket.destroy()
    expect(await rig.end(0)).toMatchObject({ ended: 'client-gone' })
    expect(answers.seen).toEqual([])
  })

  test('an upstream that leaves half-way gives nothing of it', async () => {
    const half = json('{"a":"777"}').slice(0, -3)
    const { text, status, end } = await answered(half)
    expect(status).toBe(502)
    expect(text).not.toContain('777')
    expect(code(end)).toMatch(/^forward\./)
  })

  test('an upstream that stalls runs into the time of its route', async () => {
    const stalls = ({ socket }: RawConnection): void => void socket.write(json('{"a":"777"}').slice(0, -3))
    const { status, text, end } = await answered(stalls, { route: { timeouts: { connect: 1000, head: 5000, idle: 50 } } })
    expect(status).toBe(504)
    expect(text).not.toContain('777')
    expect(code(end)).toBe('forward.timeout')
  })

  test('a cut call gives nothing of it', async () => {
    const upstream = await opened(rawServer(({ socket }) => void socket.write(json('{"a":"777"}').slice(0, -3))))
    const rig = await opened(startRig(upstream.port, { tool: { answer: 'json' }, forward: { answers: scriptedAnswers() } }))
    const client = await rawClient(rig.port)
    client.socket.write(get)
    await (await upstream.connection(0)).until((text) => text.includes('\r\n\r\n'))
    rig.calls[0]?.cut(new Refusal('kill.engaged'))
    expect(code(await rig.end(0))).toBe('kill.engaged')
    await client.closed
    expect(client.text()).not.toContain('777')
  })

  test('a body that streams upstream is sent to its end, and the answer comes masked', async () => {
    const request = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n'
    const speak = async (connection: RawConnection): Promise<void> => {
      await connection.until((text) => text.includes('0\r\n\r\n'))
      connection.socket.end(json('{"ssn":"1"}'))
    }
    const { body, asked, end } = await answered(speak, { ...masking('/ssn'), request })
    expect(body).toBe('{"ssn":"***"}')
    expect(asked).toContain('5\r\nhello\r\n0\r\n\r\n')
    expect(end).toMatchObject({ ended: 'complete', bytesOut: 5, bodySha256: sha('hello') })
  })

  test('an early answer to a body that is still on its way comes masked, and refused as any other', async () => {
    const request = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\nConnection: close\r\n\r\nhello'
    const early = await answered(({ socket }) => void socket.write(json('{"ssn":"1"}')), { ...masking('/ssn'), request })
    expect(early.body).toBe('{"ssn":"***"}')
    expect(early.text).toMatch(/connection: close/i)
    const refused = await answered(({ socket }) => void socket.write(json('{"ssn":"777"}')), { answers: scriptedAnswers(denied), request })
    expect(refused.status).toBe(502)
    expect(refused.text).not.toContain('777')
  })

  test('the connection serves the next call afterwards', async () => {
    const upstream = await opened(
      rawServer(async (connection) => {
        for (let calls = 1; calls <= 3; calls++) {
          await connection.until((text) => text.split('\r\n\r\n').length > calls)
          connection.socket.write(json('{"ssn":"1"}'))
        }
      }),
    )
    const rig = await opened(startRig(upstream.port, { ...masking('/ssn'), forward: { answers: scriptedAnswers() } }))
    for (let calls = 0; calls < 3; calls++) expect(await (await fetch(rig.url)).text()).toBe('{"ssn":"***"}')
    expect(upstream.connections).toHaveLength(1)
  })
})
