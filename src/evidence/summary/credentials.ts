/** The credentials that were lent in a set, and how each ended: as far as the lines say so, and no further. */
import { detailOf, eventOf, type EvidenceLine } from '../line.ts'
import { flag, moment, number, text, texts } from './plain.ts'

export interface CredentialRow {
  readonly lease: string
  readonly task: string | null
  readonly provider: string | null
  readonly tool: string | null
  readonly destination: string | null
  readonly scopes: readonly string[]
  readonly audience: string | null
  /** SHA-256 of the credential. */
  readonly digest: string | null
  readonly standing: boolean
  /** What its end is worth: `issuer`, `expiry` or `discard`. */
  readonly revocation: string | null
  readonly seq: number
  readonly issued: string
  /** When its issuer ends it; as renewed last. */
  readonly expires: string | null
  readonly call: string | null
  readonly replaces: string | null
  readonly renewed: number
  /** `revoked`, `expired`, `discarded` or `orphaned`; null: no line of the set says that it ended. */
  readonly end: {
    readonly how: string
    readonly seq: number
    readonly at: string
    readonly cause: string | null
    readonly took_ms: number | null
  } | null
  /** The issuer did not confirm it at first, or not in time. */
  readonly revocation_failed: boolean
  readonly revocation_overdue: boolean
  /** An answer held it. */
  readonly echoed: number
}

const ends: ReadonlySet<string> = new Set(['lease.revoked', 'lease.expired', 'lease.discarded', 'lease.orphaned'])

/** In the order in which they were issued. */
export function credentialsOf(lines: readonly EvidenceLine[]): readonly CredentialRow[] {
  const rows = new Map<string, CredentialRow>()
  for (const line of lines) {
    const event = eventOf(line)
    if (!event.startsWith('lease.')) continue
    const detail = detailOf(line)
    const lease = text(detail, event === 'lease.echoed' ? 'lease' : 'id')
    if (lease === null) continue
    const known = rows.get(lease)
    if (event === 'lease.issued') rows.set(lease, issued(lease, line))
    else if (known !== undefined) rows.set(lease, { ...known, ...changed(known, event, line) })
  }
  return [...rows.values()]
}

function issued(lease: string, line: EvidenceLine): CredentialRow {
  const detail = detailOf(line)
  return {
    lease,
    task: text(line.own, 'task'),
    provider: text(detail, 'provider'),
    tool: text(detail, 'tool'),
    destination: text(detail, 'destination'),
    scopes: texts(detail, 'scopes'),
    audience: text(detail, 'audience'),
    digest: text(detail, 'digest'),
    standing: flag(detail, 'standing'),
    revocation: text(detail, 'revocation'),
    seq: line.seq,
    issued: line.time.toWellFormed(),
    expires: moment(detail, 'expires'),
    call: text(detail, 'call'),
    replaces: text(detail, 'replaces'),
    renewed: 0,
    end: null,
    revocation_failed: false,
    revocation_overdue: false,
    echoed: 0,
  }
}

function changed(known: CredentialRow, event: string, line: EvidenceLine): Partial<CredentialRow> {
  const detail = detailOf(line)
  if (event === 'lease.renewed') return { renewed: known.renewed + 1, expires: moment(detail, 'expires') }
  if (event === 'lease.revocation-failed') return { revocation_failed: true }
  if (event === 'lease.revocation-overdue') return { revocation_overdue: true }
  if (event === 'lease.echoed') return { echoed: known.echoed + 1 }
  if (!ends.has(event)) return {}
  const end = {
    how: event.slice(6),
    seq: line.seq,
    at: line.time.toWellFormed(),
    cause: text(detail, 'cause'),
    took_ms: number(detail, 'took'),
  }
  return { end, revocation: text(detail, 'revocation') ?? known.revocation }
}
