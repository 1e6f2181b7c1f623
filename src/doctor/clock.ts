/** Compares our clock with those of the servers that were asked anyway, by the `Date` of their answers (RFC 9110 §6.6.1). */
import type { Examination } from '../identify/source.ts'
import { error, ok, warning, type Check } from './findings.ts'
import { spanText } from './span.ts'

/** From here on tokens may be refused that are good, or taken that are not. */
const serious = 60_000
/** The leeway that sources give by default. */
const notable = 5000
/** A `Date` counts whole seconds. */
const grain = 1000

/** What the clocks of servers said, by origin. */
export class ServerClocks implements Examination {
  readonly #clock: () => number
  /** Ms that ours is ahead. Written by `answered` alone. */
  readonly #ahead = new Map<string, number>()

  /** `clock`: epoch ms. */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  answered(url: string, date: string | null): void {
    const theirs = date === null ? Number.NaN : Date.parse(date)
    if (Number.isNaN(theirs)) return
    const ours = this.#clock()
    const ahead = ours < theirs ? ours - theirs : Math.max(0, ours - theirs - grain)
    this.#ahead.set(new URL(url).origin, ahead)
  }

  /** A `fetch` that listens for dates. */
  listening(ask: typeof fetch): typeof fetch {
    return async (input, init) => {
      const response = await ask(input, init)
      this.answered(urlOf(input), response.headers.get('date'))
      return response
    }
  }

  checks(): Check[] {
    const off = Array.from(this.#ahead).filter(([, ahead]) => Math.abs(ahead) > notable)
    const right = this.#ahead.size - off.length
    const well =
      right === 0
        ? []
        : [ok('clock', `agrees within 5 s with ${right} server${right === 1 ? '' : 's'} that ${right === 1 ? 'was' : 'were'} asked`)]
    return [...well, ...off.map(([origin, ahead]) => offCheck(origin, ahead))]
  }
}

function offCheck(origin: string, ahead: number): Check {
  const wrong = {
    subject: 'clock',
    seen: `our clock is ${spanText(ahead)} ${ahead > 0 ? 'ahead of' : 'behind'} that of ${origin}`,
    fix: 'Run NTP (chrony, systemd-timesyncd) on this host; if several servers agree with it, the clock of that server is wrong. A leeway is given to nbf and iat, never to an expiry.',
  }
  return Math.abs(ahead) > serious ? error('CS2202', wrong) : warning('CS2202', wrong)
}

function urlOf(input: Parameters<typeof fetch>[0]): string {
  return input instanceof Request ? input.url : String(input)
}
