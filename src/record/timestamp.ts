/** Gives the present moment in RFC 3339 form, UTC, with milliseconds. */
export type Stamp = () => string

/** Makes a stamp over a clock (epoch ms); the part up to the second is built once a second. */
export function stampSource(clock: () => number): Stamp {
  let second = Number.NaN
  let prefix = ''
  return () => {
    const now = clock()
    const whole = Math.floor(now / 1000)
    if (whole !== second) {
      second = whole
      prefix = new Date(whole * 1000).toISOString().slice(0, 20)
    }
    const ms = Math.floor(now - whole * 1000)
    return `${prefix}${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}Z`
  }
}
