import { unanswered } from './provider.ts'

/** One question to a provider that ends after `ms`, or when `stop` aborts, also when the provider ignores its signal: then nobody knows what it did. */
export async function attempt<T>(ms: number, run: (signal: AbortSignal) => Promise<T>, stop?: AbortSignal): Promise<T> {
  const late = AbortSignal.timeout(ms)
  const signal = stop === undefined ? late : AbortSignal.any([late, stop])
  let leave = (): void => {}
  const over = new Promise<never>((_resolve, reject) => {
    const end = (): void => reject(unanswered('the issuer did not answer in time'))
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
    leave = () => signal.removeEventListener('abort', end)
  })
  try {
    return await Promise.race([run(signal), over])
  } finally {
    leave()
  }
}

/** Runs at most so many at a time for each name, in the order in which they came. */
export class Lanes {
  readonly #most: number
  /** What waits for each name that has some under way. Written by `run` and `#next`. */
  readonly #waiting = new Map<string, { running: number; readonly queue: (() => void)[] }>()

  constructor(most: number) {
    this.#most = most
  }

  async run(name: string, work: () => Promise<void>): Promise<void> {
    let lane = this.#waiting.get(name)
    if (lane === undefined) this.#waiting.set(name, (lane = { running: 0, queue: [] }))
    const { queue } = lane
    if (lane.running < this.#most) lane.running++
    else await new Promise<void>((resolve) => queue.push(resolve))
    try {
      await work()
    } finally {
      // whoever is next takes the place over
      const next = queue.shift()
      if (next !== undefined) next()
      else if (--lane.running === 0) this.#waiting.delete(name)
    }
  }
}

/** Resolves with the work, or after `ms` if that is sooner: what is not done by then goes on. */
export async function soonEnough(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms).unref()))
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
