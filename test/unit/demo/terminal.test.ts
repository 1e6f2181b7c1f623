import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { askOnTerminal, type Said } from '../../../src/demo/terminal.ts'

interface Sitting {
  readonly said: Promise<Said | null>
  readonly input: PassThrough
  readonly output: PassThrough
}

function sitDown(patience = 60_000, signal = new AbortController().signal): Sitting {
  const [input, output] = [new PassThrough(), new PassThrough()]
  return { said: askOnTerminal({ input, output, patience })(signal), input, output }
}

describe('whoever sits at the terminal', () => {
  test('is asked whether, then why', async () => {
    const { said, input, output } = sitDown()
    input.write('y\n')
    input.write('  it is owed \n')
    expect(await said).toEqual({ verdict: 'approve', reason: 'it is owed' })
    output.end()
    expect(Buffer.concat(await output.toArray()).toString()).toBe('approve? [y/N] reason: ')
  })

  test.each(['YES', 'Yes', 'y'])('approves by a clear yes: %s', async (word) => {
    const { said, input } = sitDown()
    input.write(`${word}\nfine\n`)
    expect(await said).toEqual({ verdict: 'approve', reason: 'fine' })
  })

  test.each(['n', 'no', '', 'yep', 'yes please', 'ja'])('declines by anything else: %j', async (word) => {
    const { said, input } = sitDown()
    input.write(`${word}\n\n`)
    expect(await said).toEqual({ verdict: 'decline', reason: 'said so on the terminal' })
  })

  test('has answered nothing when the time is over, also between whether and why', async () => {
    const signal = new AbortController()
    const { said, input, output } = sitDown(60_000, signal.signal)
    input.write('y\n')
    output.on('data', (part) => String(part).includes('reason') && signal.abort())
    expect(await said).toBe(null)
    expect(await sitDown(0).said).toBe(null)
    expect(await sitDown(60_000, AbortSignal.abort()).said).toBe(null)
  })

  test('has answered nothing when the input ends', async () => {
    const { said, input } = sitDown()
    input.end('y\n')
    expect(await said).toBe(null)
  })
})
