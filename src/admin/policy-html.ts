/** The policy in force, and why a call was decided so, as HTML. */
import { visible } from '../approve/visible.ts'
import type { Answer } from './answer.ts'
import { html, type Html, type Piece } from './html.ts'
import type { CallExplained, FiredRow, ModeRow, PolicyView, RuleRow } from './policy-page.ts'
import { badge, noted, pageOf, spanOf, timeOf, type Shell } from './page-shell.ts'
import { factsOf, listOf, tableOf } from './table-html.ts'

/** `rules`: a text says why they cannot be read. `now` is epoch ms. */
export function policyPage(view: PolicyView, rules: readonly RuleRow[] | string, shell: Shell, now: number): Answer {
  const { status, mode, modes } = view
  const { policy, fault, lapsed } = status
  const body = html`<h1>Policy</h1>
    ${noted(lapsed === null ? null : `No policy judges, and every call is refused: ${lapsed}`)}
    <h2>In force</h2>
    ${
      policy === null
        ? html`<p class="empty">None has been activated.</p>`
        : factsOf([
            ['revision', html`<span class="mono">${visible(policy.revision)}</span>`],
            ['from', visible(policy.kept ? `what was kept of ${policy.source}` : policy.source)],
            ['since', timeOf(policy.activated, now)],
            ['signed by', policy.signedBy === null ? 'nobody: it lies on this machine' : visible(policy.signedBy)],
            ['bundle', html`<span class="mono">sha256:${policy.digest}</span>`],
            ['confirmed', status.age === null ? null : spanOf(-status.age)],
            ['mode', html`${mode === 'enforce' ? badge('enforce', 'active') : badge('observe', 'pending')} ${modeText(mode)}`],
            ['exceptions', modes.length === 0 ? null : listOf(modes.map(exception))],
            [
              'last refused',
              fault === null
                ? 'none since this one came into force'
                : html`${badge(fault.reason, 'stop')}
                  ${visible(fault.message)}${fault.revision === null ? null : ` (revision ${visible(fault.revision)})`}`,
            ],
          ])
    }
    ${explainForm('')}
    <div class="title">
      <h2>Rules</h2>
      ${typeof rules === 'string' ? null : html`<span class="soft">${rules.length} that can refuse or ask</span>`}
    </div>
    ${typeof rules === 'string' ? html`<p class="note">The rules cannot be read here: ${visible(rules)}</p>` : ruleTable(rules)}`
  return pageOf({ title: 'Policy', body, shell, section: 'policy' })
}

function modeText(mode: PolicyView['mode']): string {
  return mode === 'enforce' ? 'what a rule refuses is refused' : 'what observable rules refuse is let through, and recorded'
}

function exception({ mode, agent, tool, risk, rule }: ModeRow): string {
  const about = [agent, tool, risk?.join(' or '), rule].filter((one) => one !== undefined)
  return visible(`${mode} for ${about.join(', ')}`)
}

function ruleTable(rules: readonly RuleRow[]): Html {
  if (rules.length === 0) return html`<p class="empty">The bundle carries no source: its rules say nothing of themselves.</p>`
  return tableOf<RuleRow>(
    'Rules of the policy in force',
    [
      {
        head: 'Rule',
        cell: ({ id, title, level }) =>
          html`<span class="mono">${visible(id)}</span
            ><small>${visible(title)}</small>${level === '' ? null : html`<small>${visible(level)}</small>`}`,
      },
      { head: 'Effect', cell: ({ effect }) => badge(effect, effect === 'deny' ? 'high' : effect === 'ask' ? 'pending' : 'plain') },
      { head: 'Severity', cell: ({ severity }) => (severity === '' ? '–' : badge(severity)) },
      { head: 'Controls', cell: ({ controls }) => html`<small>${visible(controls.join(', ') || 'none named')}</small>` },
      { head: 'May be observed', cell: ({ observable }) => (observable === true ? 'yes' : 'no') },
    ],
    rules,
  )
}

function explainForm(call: string): Html {
  return html`<form class="inline screen" method="get" action="/policy/explain">
    <label for="call">Why was a call decided so?</label>
    <input
      type="text"
      id="call"
      name="call"
      value="${call}"
      maxlength="64"
      placeholder="c_…"
      autocomplete="off"
      spellcheck="false"
      required
    />
    <button>Explain</button>
  </form>`
}

/** What can be said of one call; `null` where none was named. */
export function explainPage(call: string, found: CallExplained | null, shell: Shell): Answer {
  const status = found === null || found.is === 'explained' || found.is === 'unjudged' || found.is === 'masked' ? 200 : 404
  const body = html`<h1>Why a call was decided so</h1>
    ${explainForm(call)} ${found === null ? null : explained(call, found)}
    <p class="screen"><a href="/policy">The policy in force</a></p>`
  return pageOf({ status, title: 'Explain', body, shell, section: 'policy' })
}

function explained(call: string, found: CallExplained): Piece {
  switch (found.is) {
    case 'unknown':
      return noted(`the ledger has no decision ${call}`)
    case 'masked':
      return html`<p class="note">The input of this call is masked in the ledger, and so nothing can be judged again.</p>`
    case 'failed':
      return noted(`it cannot be explained here: ${found.why}`)
    case 'unjudged':
      return html`<p class="note">
        Policy was never asked: the call ended before, as <code>${visible(found.code)}</code>. docs/refusals.md says what to do.
      </p>`
    default:
      return full(found)
  }
}

function full({
  effect,
  fault,
  revision,
  recorded,
  rules,
  ways,
  tried,
  bodyless,
}: Extract<CallExplained, { readonly is: 'explained' }>): Piece {
  const other = recorded !== null && recorded.revision !== revision
  return html`<div class="head">
      ${badge(effect, effect === 'allow' ? 'approved' : effect === 'deny' ? 'stop' : 'pending')}
      <span class="soft">by revision <span class="mono">${visible(revision)}</span></span>
    </div>
    ${
      recorded === null
        ? null
        : factsOf([
            ['call', html`<span class="mono">${visible(recorded.id)}</span>`],
            ['time', visible(recorded.time)],
            ['recorded', visible(`${recorded.effect ?? 'masked'}, ${recorded.end}`)],
          ])
    }
    ${other ? html`<p class="note">Another revision judged it then (${visible(recorded?.revision ?? '')}): what stands here is what the one in force says.</p>` : null}
    ${fault === null ? null : noted(`the policy gave no well-formed decision: ${fault}`)}
    ${bodyless ? html`<p class="note">The body was judged then. No record keeps it, so this is judged without it.</p>` : null}
    ${rules.length === 0 ? html`<p class="empty">No rule spoke.</p>` : rules.map((rule) => fired(rule))} ${waysOf(ways, tried)}`
}

function fired(rule: FiredRow): Html {
  return html`<h2 class="mono">${visible(rule.id)}</h2>
    <p>${badge(rule.effect, rule.effect === 'deny' ? 'stop' : 'pending')} ${badge(rule.severity)} ${visible(rule.controls.join(', '))}</p>
    ${factsOf([
      ['what it holds', rule.title === '' ? null : visible(`${rule.title}. ${rule.description}`)],
      ['the agent reads', visible(rule.message)],
      ['found', rule.found === '' ? null : html`<code>${visible(rule.found)}</code>`],
      ['looked at', rule.facts.length === 0 ? null : listOf(rule.facts.map((fact) => visible(fact)))],
      ['to do', rule.remediation === '' ? null : visible(rule.remediation)],
    ])}`
}

/** Null where it is an allow. */
function waysOf(ways: readonly (readonly string[])[] | null, tried: number): Html | null {
  if (ways === null) return null
  return html`<h2>What would have made it an allow</h2>
    ${
      ways.length === 0
        ? html`<p>
            No change was found (${tried} inputs judged). That is no proof that there is none: only facts that the rules name were changed.
          </p>`
        : html`<ol>
            ${ways.map((way) => html`<li>${listOf(way.map((one) => visible(one)))}</li>`)}
          </ol>`
    }`
}
