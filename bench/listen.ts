/**
 * Reads streams of server-sent events one after the other, and tells how long the first token took and how long each was on its way. A
 * program of its own, for the core of the load: it is given a file with `Listening` and prints `Heard`.
 */

import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'

export interface Listening {
  readonly port: number
  readonly streams: number
  readonly headers: Readonly<Record<string, string>>
}

export interface Heard {
  readonly streams: number
  readonly tokens: number
  /** Milliseconds from the request to the first token: median, and 99 of 100. */
  readonly first: readonly [number, number]
  /** Milliseconds from the upstream's write of a token to its arrival here, of all but the first. */
  readonly relay: readonly [number, number]
}

const { port, streams, headers }: Listening = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
const [firsts, relays]: [number[], number[]] = [[], []]
const now = (): number => Number(process.hrtime.bigint())

for (let at = 0; at < streams; at++) await hear(`/api/items/events-${at % 256}`)
agent.destroy()
const heard: Heard = { streams: firsts.length, tokens: firsts.length + relays.length, first: spread(firsts), relay: spread(relays) }
console.log(JSON.stringify(heard))

function hear(path: string): Promise<void> {
  const began = now()
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent, headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
      let tokens = 0
      let rest = ''
      response.setEncoding('latin1')
      response.on('data', (piece: string) => {
        const at = now()
        const events = (rest + piece).split('\n\n')
        rest = events.pop() ?? ''
        for (const event of events) {
          const written = /"at":"(\d+)"/.exec(event)?.[1]
          if (written === undefined) continue
          if (tokens === 0) firsts.push(at - began)
          else relays.push(at - Number(written))
          tokens += 1
        }
      })
      response.on('error', reject)
      response.on('end', () => (tokens === 20 ? resolve() : reject(new Error(`${tokens} tokens of 20`))))
    })
    sent.on('error', reject)
    sent.end()
  })
}

/** Milliseconds of nanoseconds. */
function spread(all: readonly number[]): readonly [number, number] {
  const sorted = all.toSorted((a, b) => a - b)
  const at = (share: number): number => (sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN) / 1e6
  return [at(0.5), at(0.99)]
}
