/** Kills as people see them, engage them and lift them. */
import { KillFault, type Engaged, type Kills } from '../kill/kills.ts'
import { readStop } from '../kill/name.ts'
import type { KillBook, KillRow } from '../state/kills.ts'
import { problem } from './answer.ts'
import { wordsOf, type Noun } from './noun.ts'

export interface KillNounOptions {
  readonly kills: Pick<Kills, 'engage' | 'lift'>
  readonly book: Pick<KillBook, 'kills'>
  /** Whether anything is configured, or any task is known, by that name. */
  readonly known: (stop: Pick<KillRow, 'scope' | 'name'>) => boolean
}

/** `/v1/kills`: GET lists (`?all`), POST engages, `/v1/kills/<id>/lift` lifts. */
export function killNoun({ kills, book, known }: KillNounOptions): Noun {
  return async ({ method, path: [id, verb, ...rest], query, who, body }) => {
    if (rest.length > 0) return null
    if (method === 'GET' && id === undefined) {
      const rows = await book.kills({ all: query.has('all') })
      return { status: 200, json: { kills: rows.map((row) => shownKill(row)) } }
    }
    if (method !== 'POST') return null
    const given = await body()
    const words = wordsOf({ who }, given)
    if (words === null) return problem(400, 'the body must be {"reason": …, "by": …}: say why, and who you are')
    const by = `person:${words.by}`
    if (id === undefined) {
      const stop = readStop(given?.['scope'], given?.['name'])
      if ('fault' in stop) return problem(400, stop.fault)
      return {
        status: 201,
        json: { ...engaged(await kills.engage({ ...stop, by, reason: words.reason, method: words.method })), known: known(stop) },
      }
    }
    if (verb !== 'lift') return null
    try {
      return { status: 200, json: shownKill(await kills.lift(id, by, words.reason, words.method)) }
    } catch (error) {
      if (error instanceof KillFault) return problem(error.why === 'unknown' ? 404 : 409, error.message)
      throw error
    }
  }
}

function engaged({ kill, fresh, cut, tasks, leases }: Engaged): object {
  return { ...shownKill(kill), fresh, cut, tasks, leases }
}

/** A kill with its times as text. */
export function shownKill(row: KillRow): object {
  const time = (ms: number): string => new Date(ms).toISOString()
  return { ...row, at: time(row.at), lifted: row.lifted && { ...row.lifted, at: time(row.lifted.at) } }
}
