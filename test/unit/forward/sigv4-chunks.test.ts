import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Refusal } from '../../../src/refusal.ts'
import { awsChunked, signAtOnce, uploading, verify, type Plain, type Uploading } from '../../support/sigv4-rig.ts'
import { crc32 } from '../../support/sigv4-verifier.ts'

const streaming = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'

function putOf(length: number | null, trailer = false): Plain {
  const headers = ['content-encoding', 'aws-chunked', 'x-amz-content-sha256', trailer ? `${streaming}-TRAILER` : streaming]
  if (length !== null) headers.push('x-amz-decoded-content-length', String(length))
  if (trailer) headers.push('x-amz-trailer', 'x-amz-checksum-crc32')
  return { service: 's3', method: 'PUT', target: '/receipts/a.bin', headers }
}

/** Sends a body in these pieces, whole in the end unless told otherwise. */
async function send({ upload, incoming, over }: Uploading, pieces: readonly Buffer[], whole = true): Promise<unknown> {
  upload.resume()
  for (const piece of pieces) incoming.write(piece)
  incoming.complete = whole
  incoming.end()
  return over
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const borders = [0, ...at.map((one) => one % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return borders.slice(1).map((end, index) => bytes.subarray(borders[index], end))
}

describe('a body in signed chunks', () => {
  test('carries the signatures that the algorithm gives', async () => {
    const rig = uploading()
    const body = awsChunked(Buffer.from('hello world'), [6, 5], 'x-amz-checksum-crc32:DUoRhQ==\r\n')
    const applied = signAtOnce({ ...putOf(11, true), body: rig.upload })
    expect(applied.headers.at(-1)).toContain('Signature=a05f887bd736a595dd48743190f13d39bc02c99216da74c21f299ce7cf94c8ea')
    expect(await send(rig, [body])).toBe('end')
    expect(Buffer.concat(rig.sent).toString()).toBe(
      [
        '6;chunk-signature=087f1e61abd5b7fdf9f0fc67b2ec4c523fd6d508af2a78795a4d87a9e41f1933\r\nhello \r\n',
        '5;chunk-signature=5296ce9890217359d0c1e9f5dbcf2dd379313c7cad9f873944c0d86ef8130172\r\nworld\r\n',
        '0;chunk-signature=4d66f4c4d8b3560209173e27f631cf78e43058735544b9be3cc800adaba3f912\r\n',
        'x-amz-checksum-crc32:DUoRhQ==\r\n',
        'x-amz-trailer-signature:98c775348970d71fb47cc6f432d6e59df2c6df086b0c9a664297c860e706b586\r\n\r\n',
      ].join(''),
    )
  })

  test('is what the service verifies, for any chunks, borders on the way and trailers, and no byte longer', async () => {
    const line = fc.option(fc.constantFrom('\r\n', '\n', '\n\r\n'), { nil: null })
    const many = fc.array(fc.nat(), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 6 }),
        many,
        line,
        async (data, sizes, borders, end) => {
          const bytes = Buffer.from(data)
          const body = awsChunked(bytes, sizes, end === null ? undefined : `x-amz-checksum-crc32:${crc32(bytes)}${end}`)
          const plain = putOf(bytes.length, end !== null)
          const rig = uploading()
          const applied = signAtOnce({ ...plain, body: rig.upload })
          expect(await send(rig, cut(body, borders))).toBe('end')
          const sent = Buffer.concat(rig.sent)
          expect(sent.length).toBe(body.length)
          expect(verify(plain, applied, sent).equals(bytes)).toBe(true)
          // the same body, when it had arrived whole before it was signed
          const whole = signAtOnce({ ...plain, body })
          expect(whole.body).toEqual(sent)
        },
      ),
      { numRuns: 150 },
    )
  })

  test('is one of the agent in the record: the digest is that of the bytes that came', async () => {
    const rig = uploading()
    const body = awsChunked(Buffer.from('hello'), [5])
    signAtOnce({ ...putOf(5), body: rig.upload })
    await send(rig, [body])
    expect(rig.upload.sha256).toBe(createHash('sha256').update(body).digest('hex'))
  })

  test('gives out nothing of a chunk before all of it is there', () => {
    const rig = uploading()
    const body = awsChunked(Buffer.from('hello world'), [11])
    signAtOnce({ ...putOf(11), body: rig.upload })
    rig.upload.resume()
    rig.incoming.write(body.subarray(0, 90))
    expect(rig.sent).toEqual([])
  })
})

describe('a body that is not what it says', () => {
  const good = awsChunked(Buffer.from('hello world'), [6, 5])
  const text = good.toString('latin1')
  const signature = 'f'.repeat(64)
  const trailer = (lines: string): string => awsChunked(Buffer.from('hello world'), [11], lines).toString('latin1')

  test.each<[string, string, boolean?]>([
    ['a size that is none', text.replace('6;', 'x;')],
    ['a negative size', text.replace('6;', '-6;')],
    ['no signature', text.replace(`6;chunk-signature=${signature}`, '6')],
    ['a signature that is too short', text.replace(signature, 'ff')],
    ['another extension', text.replace('6;', '6;a=b;')],
    ['a line that ends in LF alone', text.replace('\r\n', '\n')],
    ['a chunk that is longer than its size', text.replace('hello ', 'hello  ')],
    ['a chunk that is shorter than its size', text.replace('hello ', 'hello')],
    ['a chunk of more than 1 MiB', text.replace('6;', '100001;')],
    ['a head that never ends', '0'.repeat(200)],
    ['bytes after its end', `${text}x`],
    ['a second end', `${text}0;chunk-signature=${signature}\r\n\r\n`],
    ['no end', text.slice(0, text.indexOf('0;chunk'))],
    ['half an end', text.slice(0, -1)],
    ['nothing', ''],
    ['less than it announced', awsChunked(Buffer.from('hello'), [5]).toString('latin1')],
    ['more than it announced', awsChunked(Buffer.from('hello world!'), [12]).toString('latin1')],
    ['a trailer that it did not announce', trailer('x-amz-checksum-crc32:DUoRhQ==\r\n')],
    ['a trailer without a signature', trailer('a:b\r\n').replace('x-amz-trailer-signature', 'x-amz-other'), true],
    ['a trailer that is no field', trailer('a b\r\n'), true],
    ['a trailer with a signature amid it', trailer(`a:b\r\nx-amz-trailer-signature:${signature}\r\nc:d\r\n`).slice(0, -90), true],
    ['a trailer with bytes after it', `${trailer('a:b\r\n')}x`, true],
    ['a trailer of more than 8 KiB', trailer(`a:${'b'.repeat(9000)}\r\n`), true],
    ['no trailer', text, true],
  ])('breaks before it is whole: %s', async (_what, body, trailed = false) => {
    const rig = uploading()
    signAtOnce({ ...putOf(11, trailed), body: rig.upload })
    const fault = await send(rig, [Buffer.from(body, 'latin1')])
    expect(fault).toBeInstanceOf(Refusal)
    expect(fault).toMatchObject({ code: 'listen.malformed' })
    expect(rig.upload.done).toBe(false)
    expect(rig.upload.sha256).toBeNull()
    // nor may it pass when it had come whole
    expect(() => signAtOnce({ ...putOf(11, trailed), body: Buffer.from(body, 'latin1') })).toThrow(Refusal)
  })

  test('is held to no length when the agent announced none', async () => {
    const rig = uploading()
    signAtOnce({ ...putOf(null), body: rig.upload })
    expect(await send(rig, [good])).toBe('end')
  })

  test('breaks like any other when the agent leaves', async () => {
    const rig = uploading()
    signAtOnce({ ...putOf(11), body: rig.upload })
    expect(await send(rig, [good.subarray(0, 50)], false)).toMatchObject({ name: 'UploadBroken' })
  })

  test('never lets a byte out that the service could take for a whole body', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bent = Buffer.from(good)
        bent[at] = (bent[at] ?? 0) ^ flip
        const rig = uploading()
        const plain = putOf(11)
        const applied = signAtOnce({ ...plain, body: rig.upload })
        const ended = await send(rig, [bent])
        // a changed byte of data, or of a signature that is replaced anyway, is a body like any other
        if (ended === 'end') expect(verify(plain, applied, Buffer.concat(rig.sent)).length).toBe(11)
        else expect(ended).toMatchObject({ code: 'listen.malformed' })
      }),
      { numRuns: 300 },
    )
  })
})
