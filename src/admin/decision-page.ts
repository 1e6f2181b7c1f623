/** The part of the page where people see what was decided, find it again, and look into one call. */
import { FilterFault, parseFilter, queryOf, wordsOf, type Filter } from '../evidence/filter.ts'
import { findCall } from '../evidence/find-call.ts'
import { newestEntries } from '../evidence/newest.ts'
import type { Answer } from './answer.ts'
import { callPage } from './call-html.ts'
import { decisionsPage } from './decision-html.ts'
import { faultPage } from './page-shell.ts'
import type { LedgerReading } from './stream.ts'
import { need, type Part, type Visit } from './visit.ts'

/** On one page. */
const rows = 50
/** Bytes that one page looks through: what people wait for, and what a busy Countersign can spare. */
const mostBytes = 64 * 1024 * 1024

/** `/decisions`, its filters in the query, and `/decisions/<call>`. */
export function decisionPart(ledger: LedgerReading): Part {
  return async (visit) => {
    const { path, form } = visit
    const id = /^\/decisions\/(c_[^/]+)$/.exec(path)?.[1]
    if ((id === undefined && path !== '/decisions') || form !== null) return null
    need(visit, 'decisions.read')
    return id === undefined ? list(visit, ledger) : sheet(id, visit, ledger)
  }
}

async function list({ query, shell }: Visit, { dir, watch, clock }: LedgerReading): Promise<Answer> {
  const words = wordsOf(query)
  const now = clock()
  const given = query.get('before') ?? ''
  const before = /^\d{1,15}$/.test(given) ? Number(given) : null
  const about = { words, live: query.get('live') === '1' && before === null, before, now }
  let filter: Filter
  try {
    filter = parseFilter(words, now)
  } catch (error) {
    if (!(error instanceof FilterFault)) throw error
    const fault = { name: error.filter, why: error.message }
    return decisionsPage({ ...about, live: false, fault, found: { found: [], before: null, reached: null, newest: null } }, shell)
  }
  const search = { filter, limit: rows, mostBytes, watch, ...(before === null ? {} : { before }) }
  return decisionsPage({ ...about, fault: null, found: await newestEntries(dir, search) }, shell)
}

async function sheet(id: string, { shell, query }: Visit, { dir, watch, clock }: LedgerReading): Promise<Answer> {
  const trace = await findCall(dir, id, watch)
  if (trace === null) return faultPage(404, 'the ledger has no such call, or its lines were removed', shell)
  return callPage({ trace, back: queryOf(wordsOf(query)), now: clock() }, shell)
}
