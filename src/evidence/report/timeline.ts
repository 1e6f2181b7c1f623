/** Everything of a task in the order in which it happened, in sentences. */
import { html, type Html, type Piece } from '../../admin/html.ts'
import type { CallRow } from '../summary/calls.ts'
import type { CredentialRow } from '../summary/credentials.ts'
import type { Summary } from '../summary/summary.ts'
import { badge, hour, listed, mono, short, shown } from './words.ts'

export interface Moment {
  readonly at: string
  readonly seq: number
  readonly look: 'call' | 'no' | 'ask' | 'lent' | 'read' | 'plain'
  readonly what: Piece
  readonly more: Piece
  /** Place of its set among those of the report. */
  readonly part: number
}

type Told = Omit<Moment, 'part'>

/** Each ledger's in the order of its lines, whatever its clock did; between ledgers in the order of time. */
export function momentsOf(summaries: readonly Summary[]): readonly Moment[] {
  const rows = summaries.map((summary, part) =>
    told(summary)
      .map((one): Moment => ({ ...one, part }))
      .toSorted((a, b) => a.seq - b.seq),
  )
  const next = rows.map(() => 0)
  const merged: Moment[] = []
  for (;;) {
    let first: Moment | undefined
    for (const [part, row] of rows.entries()) {
      const head = row[next[part] ?? 0]
      if (head !== undefined && (first === undefined || head.at < first.at)) first = head
    }
    if (first === undefined) return merged
    merged.push(first)
    next[first.part] = (next[first.part] ?? 0) + 1
  }
}

function told(summary: Summary): readonly Told[] {
  return [...turns(summary), ...calls(summary), ...lent(summary), ...asked(summary), ...rest(summary)]
}

function turns({ tasks, grants }: Summary): readonly Told[] {
  const ofTasks = tasks.flatMap((task) =>
    task.turns.map(({ seq, at, what, by, why }): Told => {
      const about = what === 'opened' ? html`“${shown(task.purpose)}”` : shown(why, '')
      return {
        seq,
        at,
        look: 'plain',
        what: html`Task ${what} by ${short(by)} ${task.parent === null ? '' : '(handed on)'}`,
        more: html`${about} ${mono(task.task)}`,
      }
    }),
  )
  const ofGrants = grants.map(({ seq, at, to, purpose, state, why, grant }): Told => {
    const end = state === 'redeemed' ? 'taken up' : `${shown(state)}${why === null ? '' : `: ${shown(why)}`}`
    return {
      seq,
      at,
      look: 'plain',
      what: html`A part offered to ${short(to)}`,
      more: html`“${shown(purpose)}” — ${end} ${mono(grant)}`,
    }
  })
  return [...ofTasks, ...ofGrants]
}

function calls({ calls: rows, sensitivity }: Summary): readonly Told[] {
  const read = new Map(sensitivity.map((row) => [row.seq, row]))
  return rows.flatMap((call): Told[] => {
    const seq = call.seq ?? call.outcome_seq ?? 0
    const change = read.get(seq)
    const before: Told[] =
      change === undefined || change.classes.length === 0
        ? []
        : [
            {
              seq: seq - 0.5,
              at: call.at,
              look: 'read',
              what: 'Read so far',
              more: html`${listed(change.classes)} <span class="soft">before this call</span>`,
            },
          ]
    return [...before, callMoment(call, seq)]
  })
}

function callMoment(call: CallRow, seq: number): Told {
  const what = html`${call.permitted ? 'Called' : 'Tried'} <strong>${shown(call.tool ?? call.route)}</strong> ${verdict(call)}`
  return {
    seq,
    at: call.at,
    look: call.permitted ? 'call' : call.effect === 'ask' || call.effect === 'defer' ? 'ask' : 'no',
    what,
    more: callMore(call),
  }
}

function verdict(call: CallRow): Html {
  if (!call.permitted) return badge(call.code ?? 'refused', call.effect === 'ask' || call.effect === 'defer' ? 'warn' : 'stop')
  const cut = call.code === null ? null : badge(call.code, 'stop')
  if (call.observed !== null) return html`${badge(`let pass; would have been ${call.observed}`, 'warn')} ${cut}`
  return html`${badge(call.effect ?? 'permitted', 'go')} ${cut}`
}

function callMore(call: CallRow): Html {
  const reasons = call.reasons.map(({ rule, message }) => `${shown(rule)}: ${shown(message)}`)
  const why = reasons.length > 0 ? reasons.join('; ') : call.told.length > 0 ? listed(call.told) : ''
  const by = call.approved_by.length === 0 ? '' : `approved by ${listed(call.approved_by)}${call.break_glass ? ' (glass broken)' : ''}`
  const end =
    call.ended === null
      ? call.permitted
        ? 'no outcome yet'
        : ''
      : `${call.status ?? 'no answer'}, ${shown(call.ended)}, ${call.bytes_out ?? 0} B out, ${call.bytes_in ?? 0} B in`
  const sentence = [why, by, call.data.length > 0 && call.permitted ? `data: ${listed(call.data)}` : '', end].filter((one) => one !== '')
  return html`<span class="mono">${shown(call.method)} ${shown(call.path)}</span> → ${shown(call.downstream)} by
    ${short(call.caller)}${call.resource === null ? '' : html`, ${mono(call.resource)}`}<br /><span class="soft"
      >${sentence.join(' · ')}</span
    >`
}

function lent({ credentials }: Summary): readonly Told[] {
  return credentials.flatMap((row): Told[] => {
    const issued: Told = {
      seq: row.seq,
      at: row.issued,
      look: 'lent',
      what: html`Credential of <strong>${shown(row.provider)}</strong> ${row.standing ? 'used (it stands)' : 'lent'}`,
      more: html`${listed(row.scopes, 'no scopes')} for ${shown(row.tool)} ${mono(row.lease)}`,
    }
    if (row.end === null) return [issued]
    const what = html`Credential of ${shown(row.provider)} ${shown(row.end.how)}`
    return [issued, { seq: row.end.seq, at: row.end.at, look: 'lent', what, more: html`${endOf(row)} ${mono(row.lease)}` }]
  })
}

/** What is known of the end of a credential, without a word more. */
export function endOf({ end, revocation, expires, revocation_failed: failed }: CredentialRow): string {
  const until = expires === null ? '' : ` (${expires})`
  if (end === null) return `no line says that it ended; its issuer ends it by itself${until}`
  const slow = failed ? ', not at the first try' : ''
  const cause = end.cause === null ? '' : `, because: ${shown(end.cause)}`
  if (end.how === 'revoked')
    return `its issuer confirmed that it is gone${end.took_ms === null ? '' : `, after ${end.took_ms} ms`}${slow}${cause}`
  if (end.how === 'discarded') return `no longer used here; it stands at its issuer and outlives this${cause}`
  if (end.how === 'orphaned') return `nobody could take it back; it ends by itself${until}${cause}`
  if (end.how === 'expired') return `it expired by itself${revocation === 'issuer' ? '; its issuer was asked before' : ''}${cause}`
  return `${shown(end.how)}${cause}`
}

function asked({ approvals }: Summary): readonly Told[] {
  return approvals.flatMap((row): Told[] => {
    const about = row.tool === null ? shown(row.matter) : `${shown(row.tool)} (${shown(row.matter)})`
    const opening: Told[] = row.unasked
      ? []
      : [
          {
            seq: row.seq,
            at: row.at,
            look: 'ask',
            what: html`People asked about ${about}`,
            more: html`${row.approvers.length === 0 ? 'any approver' : listed(row.approvers)}, ${row.quorum ?? 1} needed
            ${mono(row.approval)}`,
          },
        ]
    const answers = row.answers.map(({ seq, at, by, verdict: said, reason, method, break_glass: broken }): Told => {
      const what = html`<strong>${shown(by)}</strong> ${said === 'approve' ? 'approved' : 'declined'} ${about}
        ${broken ? badge('glass broken', 'stop') : null}`
      return { seq, at, look: 'ask', what, more: html`“${shown(reason)}” <span class="soft">signed in by ${shown(method)}</span>` }
    })
    const over = row.closed === null || ['approved', 'declined'].includes(row.state) ? [] : [row.closed]
    const ends = over.map(({ seq, at, why }): Told => ({
      seq,
      at,
      look: 'ask',
      what: html`Approval ${shown(row.state)}`,
      more: html`${shown(why, '')} ${mono(row.approval)}`,
    }))
    return [...opening, ...answers, ...ends]
  })
}

function rest({ kills, events, policies }: Summary): readonly Told[] {
  const stops = kills.flatMap(({ kill, scope, name, reason, turns: rows }) =>
    rows.map(({ seq, at, what, by }): Told => ({
      seq,
      at,
      look: 'no',
      what: html`Kill ${shown(what)}${by === null ? '' : html` by ${shown(by)}`}`,
      more: html`${shown(scope)} ${shown(name, '')} — ${shown(reason)} ${mono(kill)}`,
    })),
  )
  const swaps = policies.flatMap(({ revision, activated }) =>
    activated.map(({ seq, at, signed_by: by }): Told => ({
      seq,
      at,
      look: 'plain',
      what: html`Policy ${mono(revision)} in force`,
      more: by === null ? 'no signature was asked for' : html`signed by ${shown(by)}`,
    })),
  )
  const others = events.map(({ seq, at, event, by, what }): Told => ({
    seq,
    at,
    look: 'plain',
    what: html`${shown(event)} ${by === null ? null : html`by ${shown(by)}`}`,
    more: shown(what, ''),
  }))
  return [...stops, ...swaps, ...others]
}

/** The timeline as a table; `origins` are named where there is more than one. */
export function timeline(moments: readonly Moment[], origins: readonly string[]): Html {
  let day = ''
  const rows = moments.map(({ at, look, what, more, seq, part }) => {
    const today = at.slice(0, 10)
    const head =
      today === day
        ? null
        : html`<tr class="plain">
            <th colspan="3" scope="rowgroup">${shown(today)} (UTC)</th>
          </tr>`
    day = today
    const where = origins.length > 1 ? html`<br /><span class="soft mono">${shown(origins[part] ?? '')}</span>` : null
    return html`${head}
      <tr class="${look}">
        <td class="t">${hour(at)}<br /><span class="soft">${Number.isInteger(seq) ? `line ${seq}` : ''}</span></td>
        <td>${what}${where}</td>
        <td>${more}</td>
      </tr>`
  })
  return html`<div class="wide">
    <table class="time">
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">What happened</th>
          <th scope="col">More</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}
