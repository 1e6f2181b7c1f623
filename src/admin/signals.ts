/** Signals as people see them, give them and withdraw them. */
import { SignalFault, type Given, type Signals } from '../signals.ts'
import { signalScopes, type SignalBook, type SignalRow, type SignalScope } from '../state/signals.ts'
import { parseDuration } from '../duration.ts'
import { problem, type Answer } from './answer.ts'
import { wordsOf, type Noun } from './noun.ts'

export interface SignalNounOptions {
  readonly signals: Pick<Signals, 'give' | 'withdraw'>
  readonly book: Pick<SignalBook, 'signals'>
}

/** `/v1/signals`: GET lists (`?scope=&key=`), PUT and DELETE `/v1/signals/<scope>/<key>/<name>` give and withdraw. */
export function signalNoun({ signals, book }: SignalNounOptions): Noun {
  return async ({ method, path, query, who, body }) => {
    if (method === 'GET' && path.length === 0) {
      const rows = await book.signals({ scope: scopeOf(query.get('scope')), key: query.get('key') ?? undefined })
      return { status: 200, json: { signals: rows.map((row) => shownSignal(row)) } }
    }
    const [word, key, name, ...rest] = path
    const scope = scopeOf(word)
    if ((method !== 'PUT' && method !== 'DELETE') || scope === undefined || key === undefined || name === undefined || rest.length > 0)
      return null
    const given = await body()
    const words = wordsOf({ who }, given)
    if (words === null) return problem(400, 'the body must be {"reason": …, "by": …}: say why, and who you are')
    const about = { scope, key, name }
    const said = { by: `person:${words.by}`, reason: words.reason, method: words.method }
    if (method === 'PUT') return give(signals, { ...about, ...said }, given ?? {})
    const row = await signals.withdraw(about, said)
    return row === null ? problem(404, 'there is no such signal') : { status: 200, json: shownSignal(row) }
  }
}

type About = Pick<Given, 'scope' | 'key' | 'name' | 'by' | 'reason' | 'method'>

async function give(signals: Pick<Signals, 'give'>, about: About, given: Readonly<Record<string, unknown>>): Promise<Answer> {
  const { value, source = about.by, ttl } = given
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean')
    return problem(400, 'value must be text, a number, true or false')
  if (typeof source !== 'string') return problem(400, 'source must be text')
  const ms = typeof ttl === 'string' ? parseDuration(ttl) : null
  if (ms === null) return problem(400, 'ttl must be how long it counts, such as "10m"')
  try {
    return { status: 200, json: shownSignal(await signals.give({ ...about, value, source, ttl: ms })) }
  } catch (error) {
    if (error instanceof SignalFault) return problem(409, error.message)
    throw error
  }
}

function scopeOf(word: string | null | undefined): SignalScope | undefined {
  return signalScopes.find((scope) => scope === word)
}

/** A signal with its times as text. */
export function shownSignal(row: SignalRow): object {
  const time = (ms: number): string => new Date(ms).toISOString()
  return { ...row, at: time(row.at), expires: time(row.expires) }
}
