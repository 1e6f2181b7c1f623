import { randomBytes } from 'node:crypto'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** What an id names: call, task, lease, approval, event, kill, grant of a hand-off. */
export type IdKind = 'c' | 't' | 'l' | 'a' | 'e' | 'k' | 'g'

/** Gives a new id such as `c_01JD…`: the kind and a ULID (48 bits of time, 80 of chance), sortable by time. */
export type NewId = (kind: IdKind) => string

/** Makes an id source over a clock (epoch ms). Chance is drawn in blocks: one system call for many ids. */
export function idSource(clock: () => number): NewId {
  let pool = Buffer.alloc(0)
  let at = 0
  let lastTime = -1
  let timeText = ''
  return (kind) => {
    if (at === pool.length) {
      pool = randomBytes(16 * 256)
      // 256 is a multiple of 32, so the low five bits of a random byte are as even as the byte
      for (let index = 0; index < pool.length; index++) pool[index] = alphabet.charCodeAt((pool[index] ?? 0) & 31)
      at = 0
    }
    const now = clock()
    if (now !== lastTime) {
      lastTime = now
      timeText = encodeTime(now)
    }
    const chance = pool.toString('latin1', at, at + 16)
    at += 16
    return `${kind}_${timeText}${chance}`
  }
}

function encodeTime(ms: number): string {
  let text = ''
  let rest = ms
  for (let digit = 0; digit < 10; digit++) {
    text = alphabet.charAt(rest % 32) + text
    rest = Math.floor(rest / 32)
  }
  return text
}
