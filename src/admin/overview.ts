/** How this Countersign does, on one line of figures above what waits for people. */
import type { PolicyStatus } from '../decide/in-force.ts'
import { html, type Html, type Piece } from './html.ts'
import { spanOf } from './page-shell.ts'

export interface Overview {
  /** Why calls cannot be served now; empty when they can. */
  readonly notReady: readonly string[]
  readonly kills: number
  readonly calls: number
  readonly policy: PolicyStatus
  readonly standing: number
  readonly ledger: {
    readonly position: number
    /** The last signed one, epoch ms, and how many lines it covers; null: none is near the end. */
    readonly checkpoint: { readonly at: number; readonly lines: number } | null
  }
  /** Sinks that are behind, and by how many lines; null: that is not known here. */
  readonly lagging: readonly { readonly sink: string; readonly behind: number }[] | null
}

/** `pending`: what waits for people. `now` is epoch ms. */
export function overviewHtml(overview: Overview, pending: number, now: number): Html {
  const { notReady, kills, calls, policy, standing, ledger, lagging } = overview
  const { checkpoint } = ledger
  const tiles: Piece[] = [
    tile('Asked', pending, pending === 0 ? 'nothing waits' : 'waiting for people', null, pending > 0 ? 'warn' : ''),
    tile('Kills', kills, kills === 0 ? 'nothing is stopped' : 'in force', '/kills', kills > 0 ? 'bad' : ''),
    tile('Calls', calls, 'in flight', '/tasks'),
    tile('Policy', policy.policy?.revision ?? 'none', policyText(policy, now), '/policy', policy.lapsed === null ? '' : 'bad'),
    tile('Standing secrets', standing, standing === 0 ? 'none' : 'outlive their task', '/standing', standing > 0 ? 'warn' : ''),
    tile(
      'Ledger',
      ledger.position.toLocaleString('en'),
      checkpoint === null
        ? 'lines, no checkpoint near the end'
        : `lines, ${checkpoint.lines.toLocaleString('en')} signed ${spanOf(checkpoint.at - now)}`,
    ),
    lagging === null ? null : tile('Sinks', lagging.length, lagText(lagging), null, lagging.length > 0 ? 'warn' : ''),
  ]
  const down =
    notReady.length === 0 ? null : html`<p class="note bad" role="alert"><strong>Calls are not served:</strong> ${notReady.join('; ')}</p>`
  return html`${down}
    <section class="tiles" aria-label="How this Countersign does">${tiles}</section>`
}

function tile(name: string, figure: string | number, text: string, path: string | null = null, look = ''): Html {
  const head = path === null ? html`<span>${name}</span>` : html`<a href="${path}">${name}</a>`
  return html`<div class="tile ${look}">
    ${head}<strong class="${typeof figure === 'string' && !/^[\d,]+$/.test(figure) ? 'word' : 'figure'}">${figure}</strong
    ><small>${text}</small>
  </div>`
}

function policyText({ policy, lapsed, fault }: PolicyStatus, now: number): string {
  if (lapsed !== null) return 'judges nothing'
  if (fault !== null) return `in force; the last look failed: ${fault.reason}`
  return policy === null ? 'none' : `in force, activated ${spanOf(policy.activated - now)}`
}

function lagText(lagging: NonNullable<Overview['lagging']>): string {
  return lagging.length === 0
    ? 'none is behind'
    : lagging.map(({ sink, behind }) => `${sink}: ${behind.toLocaleString('en')} behind`).join('; ')
}
