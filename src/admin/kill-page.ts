/** The part of the page where people see what is stopped, stop things and lift that. */
import { KillFault } from '../kill/kills.ts'
import { readStop } from '../kill/name.ts'
import { Refusal } from '../refusal.ts'
import type { Answer } from './answer.ts'
import { confirmed, killed, killsPage, type Typed } from './kill-html.ts'
import type { KillNounOptions } from './kills.ts'
import { lineOf, need, redirect, type Part, type Visit } from './visit.ts'

export interface KillPartOptions extends KillNounOptions {
  /** Epoch ms. */
  readonly clock: () => number
}

/** `/kills` and `/kills/<id>`. */
export function killPart(options: KillPartOptions): Part {
  return async (visit) => {
    const { path, form, query } = visit
    const id = /^\/kills\/(k_[^/]+)$/.exec(path)?.[1]
    if (id === undefined && path !== '/kills') return null
    if (form !== null) return id === undefined ? engage(form, visit, options) : lift(id, form, visit, options)
    if (id !== undefined) return redirect('/kills')
    const [scope, name] = [query.get('scope') ?? 'agent', query.get('name') ?? '']
    return show(visit, options, { scope, name: name.slice(0, 512), reason: '', note: null, status: 200 })
  }
}

async function show(visit: Visit, { book, clock }: KillPartOptions, typed: Typed): Promise<Answer> {
  need(visit, 'kills.list')
  return killsPage(await book.kills({ all: true }), visit.shell, clock(), typed)
}

async function engage(form: URLSearchParams, visit: Visit, options: KillPartOptions): Promise<Answer> {
  need(visit, 'kills.engage')
  const scope = lineOf(form, 'scope')
  const name = scope === 'everything' ? null : lineOf(form, 'name')
  const reason = lineOf(form, 'reason').slice(0, 500)
  const again = (note: string, status: number): Promise<Answer> => show(visit, options, { scope, name: name ?? '', reason, note, status })
  const stop = readStop(scope, name)
  if ('fault' in stop) return again(`Nothing is stopped: ${stop.fault}.`, 400)
  const wanted = stop.name === null ? stop.scope : confirmed(stop.name)
  if (![wanted, stop.name].includes(lineOf(form, 'typed'))) return again(`Nothing is stopped: type ${wanted} to confirm it.`, 400)
  if (reason === '') return again('Nothing is stopped: say why. It stands in the ledger.', 400)
  try {
    const { fresh, cut, tasks, leases } = await options.kills.engage({
      ...stop,
      by: `person:${visit.shell.name}`,
      reason,
      method: visit.who.method,
    })
    const what = `${fresh ? 'Stopped' : 'It was stopped already'}: ${killed(stop)}. ${cut} calls cut, ${tasks} tasks ending, ${leases} credentials being taken back.`
    if (options.known(stop)) visit.tell(what)
    else visit.tell(`${what} Nothing is known by that name: is it spelled right? The kill is in force all the same.`, true)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return again([error.title, ...error.reasons].join(': '), error.status)
  }
  return redirect('/kills')
}

async function lift(id: string, form: URLSearchParams, visit: Visit, options: KillPartOptions): Promise<Answer> {
  need(visit, 'kills.lift')
  const reason = lineOf(form, 'reason').slice(0, 500)
  const again = (note: string, status: number): Promise<Answer> =>
    show(visit, options, { scope: 'agent', name: '', reason: '', note, status })
  if (reason === '') return again('Nothing is lifted: say why. It stands in the ledger.', 400)
  try {
    const row = await options.kills.lift(id, `person:${visit.shell.name}`, reason, visit.who.method)
    visit.tell(`Lifted: ${killed(row)}.`)
  } catch (error) {
    if (error instanceof KillFault) return again(error.message, error.why === 'unknown' ? 404 : 409)
    throw error
  }
  return redirect('/kills')
}
