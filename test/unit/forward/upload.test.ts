import { createHash } from 'node:crypto'
import { PassThrough, type Readable } from 'node:stream'
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { Upload } from '../../../src/forward/upload.ts'
import type { Call } from '../../../src/listen/call.ts'
import { sketchCall } from '../../support/question.ts'

interface Sketch {
  readonly upload: Upload
  readonly incoming: PassThrough & { complete: boolean }
  readonly seen: string[]
}

function sketch(limit = 100, call: Partial<Call> = {}): Sketch {
  const incoming = Object.assign(new PassThrough(), { complete: false })
  const upload = new Upload({ ...sketchCall(), limit, incoming: incoming as unknown as IncomingMessage, ...call })
  const seen: string[] = []
  upload.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  upload.on('end', () => seen.push('end'))
  upload.on('error', (error: Error) => seen.push(error.name))
  return { upload, incoming, seen }
}

const closed = (stream: Readable): Promise<void> => new Promise((resolve) => stream.once('close', resolve))

describe('Upload', () => {
  test('passes a whole body on and knows its digest', async () => {
    const { upload, incoming, seen } = sketch()
    upload.resume()
    incoming.write('hel')
    incoming.complete = true
    incoming.end('lo')
    await closed(incoming)
    expect(seen.join('')).toBe('helloend')
    expect(upload.sha256).toBe(createHash('sha256').update('hello').digest('hex'))
  })

  test('reads nothing, and promises nothing, before it is asked to', () => {
    let promised = 0
    const { upload, incoming, seen } = sketch(100, { continue: () => promised++ })
    incoming.write('hello')
    expect([promised, seen]).toEqual([0, []])
    upload.resume()
    upload.pause()
    upload.resume()
    expect(promised).toBe(1)
  })

  test('pauses and resumes the agent', () => {
    const { upload, incoming } = sketch()
    upload.resume()
    expect([incoming.isPaused(), upload.stalled]).toEqual([false, false])
    upload.pause()
    expect([incoming.isPaused(), upload.stalled]).toEqual([true, true])
    upload.resume()
    expect([incoming.isPaused(), upload.stalled]).toEqual([false, false])
  })

  test.each<[string, (incoming: Sketch['incoming']) => void]>([
    ['is destroyed', (incoming) => incoming.destroy()],
    ['fails', (incoming) => incoming.destroy(new Error('reset'))],
    ['ends without being complete', (incoming) => void incoming.end()],
  ])('a body that %s is an error, never an end', async (_what, hurt) => {
    const { upload, incoming, seen } = sketch()
    upload.resume()
    incoming.write('hel')
    hurt(incoming)
    await closed(incoming)
    expect(seen.at(-1)).toBe('UploadBroken')
    expect(seen).not.toContain('end')
    expect([upload.sha256, upload.done]).toEqual([null, false])
  })

  test('a body that was gone before it was asked for is an error', async () => {
    const { upload, incoming, seen } = sketch()
    incoming.removeAllListeners('close')
    incoming.destroy()
    upload.resume()
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual(['UploadBroken'])
  })

  test('stops at the limit with a refusal and passes nothing of the chunk that exceeds it', async () => {
    const { upload, incoming, seen } = sketch(4)
    upload.resume()
    incoming.write('1234')
    incoming.write('5')
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual(['1234', 'Refusal'])
    expect(upload.fault).toMatchObject({ code: 'listen.too-large' })
    expect(incoming.isPaused()).toBe(true)
  })

  test('after destroy it lets go of the message', () => {
    const { upload, incoming } = sketch()
    upload.resume()
    upload.destroy()
    expect(['data', 'end', 'error', 'close'].map((name) => incoming.listenerCount(name))).toEqual([0, 0, 0, 0])
  })

  test('discards what still comes after an early answer, and calls back once at its end', async () => {
    const { upload, incoming, seen } = sketch()
    let called = 0
    upload.resume()
    upload.discard(60_000, () => called++)
    incoming.write('more')
    await new Promise((resolve) => setImmediate(resolve))
    expect(called).toBe(0)
    incoming.end()
    await closed(incoming)
    expect([called, seen]).toEqual([1, []])
  })

  test('discards for no longer than it was told', async () => {
    const { upload, incoming } = sketch()
    await new Promise<void>((resolve) => upload.discard(1, resolve))
    expect(incoming.isPaused()).toBe(true)
  })
})
