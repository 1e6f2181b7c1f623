import { env } from 'node:process'
import { describe, expect, test } from 'vitest'
import { StreamLoad } from '../support/stream-load.ts'

const long = env['COUNTERSIGN_LONG'] === '1'
const streams = long ? 500 : 60
const rounds = long ? 6 : 2
/** Milliseconds from the command to the last byte. */
const most = 250

describe('a kill while streams are open', () => {
  test(
    `of one agent, then of everything, ends all ${streams} of them: kill to last upstream byte`,
    async () => {
      const lasts: number[] = []
      const answers: number[] = []
      for (let round = 0; round < rounds; round++) {
        await using load = await StreamLoad.start()
        const { upstream } = load
        await load.open(streams)
        // by turns: everything at once, and one of two agents before everything
        const agent = round % 2 === 0
        for (const [scope, caller] of [...(agent ? [['agent', 'one'] as const] : []), ['everything', undefined] as const]) {
          const covered = upstream.open(caller)
          const { asked, answered, cut } = await load.kill(scope, caller === undefined ? undefined : load.agentId(caller))
          expect(cut).toBe(agent ? streams / 2 : streams)
          expect(covered).toHaveLength(cut)
          await upstream.until(() => covered.every(({ gone }) => gone !== null))
          // the end of the connection: from then on no byte can come
          lasts.push(...covered.map(({ gone }) => (gone ?? Number.POSITIVE_INFINITY) - asked))
          answers.push(answered - asked)
          if (caller === 'one') {
            expect(upstream.open('two')).toHaveLength(streams / 2)
            expect(await load.code('one')).toBe('kill.engaged')
          }
        }
        const bytes = [...upstream.seen.values()].map((one) => one.bytes)
        expect(await load.code('two')).toBe('kill.engaged')
        expect([...upstream.seen.values()].map((one) => one.bytes)).toEqual(bytes)
      }
      const p99 = at(lasts, 0.99)
      console.log(
        `stop: ${lasts.length} streams, half uploads, ${answers.length} kills; kill to last upstream byte p50 ${ms(at(lasts, 0.5))}, ` +
          `p99 ${ms(p99)}, most ${ms(at(lasts, 1))}; command answered in p50 ${ms(at(answers, 0.5))}, most ${ms(at(answers, 1))}`,
      )
      if (long) expect(p99).toBeLessThan(most)
    },
    long ? 600_000 : 120_000,
  )

  test('holds after kill -9 in the middle of it, and what it had left is completed', async () => {
    for (const delay of long ? [0, 1, 2, 5, 10, 20, 50] : [0, 5]) {
      await using load = await StreamLoad.start()
      await load.open(20)
      const answered = load.kill('everything').then(
        () => true,
        () => false,
      )
      await new Promise((resolve) => setTimeout(resolve, delay))
      await load.process.kill()
      const was = await answered
      await load.restart()
      const code = await load.code('one')
      // a command that was answered holds; one that was not is in force or never was
      if (was) expect(code).toBe('kill.engaged')
      else expect(['kill.engaged', null]).toContain(code)
      const again = await load.kill('everything')
      expect(again.cut).toBeLessThanOrEqual(1)
      expect(await load.code('two')).toBe('kill.engaged')
      expect(load.process.alive).toBe(true)
    }
  })
})

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}
