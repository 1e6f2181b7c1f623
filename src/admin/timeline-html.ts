/** The timeline of a task as HTML. */
import { visible } from '../approve/visible.ts'
import { html, type Html, type Piece } from './html.ts'
import { badge } from './page-shell.ts'
import { sensitivityOf, type Moment } from './timeline.ts'

export interface Timeline {
  /** Newest first. */
  readonly moments: readonly Moment[]
  /** Older ones are in the ledger, and not here. */
  readonly more: boolean
}

const kinds: Readonly<Record<Moment['kind'], string>> = {
  call: 'calls',
  credential: 'credentials',
  approval: 'approvals',
  task: 'task',
  kill: 'kills',
  other: 'other',
}

/** Everything that the ledger has of the task, newest first; `only`: of one kind. */
export function timelineHtml({ moments, more }: Timeline, task: string, only: string | null): Html {
  const present = (Object.keys(kinds) as Moment['kind'][]).filter((kind) => moments.some((one) => one.kind === kind))
  const kind = present.find((one) => kinds[one] === only) ?? null
  const link = (word: string, path: string, here: boolean): Html =>
    html`<a href="${path}" ${here ? html`aria-current="true"` : null}>${word}</a>`
  const choices = [
    link('everything', `/tasks/${task}#timeline`, kind === null),
    ...present.map((one) => link(kinds[one], `/tasks/${task}?only=${kinds[one]}#timeline`, one === kind)),
  ]
  const rows = kind === null ? moments : moments.filter((one) => one.kind === kind)
  const rest = more ? html`<p class="soft">Older lines are not shown: <code>countersign logs --task ${task}</code> has all.</p>` : null
  return html`<section aria-labelledby="timeline">
    <div class="title">
      <h2 id="timeline">Timeline</h2>
      ${present.length > 1 ? html`<nav class="choice screen" aria-label="Show of the timeline">${choices}</nav>` : null}
    </div>
    ${
      rows.length === 0
        ? html`<p class="empty">Nothing has happened yet.</p>`
        : html`<ol class="timeline" reversed>
            ${rows.map(moment)}
          </ol>`
    }${rest}
  </section>`
}

function moment({ at, kind, what, mark, notes, id }: Moment): Html {
  return html`<li class="${kind}">
    <time datetime="${at}">${at.slice(11, 19)}<small>${at.slice(0, 10)}</small></time>
    <div>
      <span class="said">${visible(what)}</span> ${mark === null ? null : badge(mark.word, mark.look)}
      <small>${notes.map((note, place) => html`${place === 0 ? null : ' · '}${visible(note)}`)}</small>
    </div>
    ${idOf(kind, id)}
  </li>`
}

function idOf(kind: Moment['kind'], id: string | null): Piece {
  if (id === null) return html`<span></span>`
  const short = visible(`${id.slice(0, 2)}…${id.slice(-6)}`)
  const path = kind === 'call' ? `/policy/explain?call=${id}` : kind === 'approval' ? `/approvals/${id}` : null
  return path === null
    ? html`<small class="mono" title="${visible(id)}">${short}</small>`
    : html`<a class="mono" href="${path}" title="${visible(id)}">${short}</a>`
}

/** Which data classes came in when. Null where the task has read none. */
export function sensitivityHtml(moments: readonly Moment[], brought: readonly string[]): Html | null {
  const steps = sensitivityOf(moments)
  if (steps.length === 0 && brought.length === 0) return null
  const known = new Set(brought)
  const rows: Html[] = []
  for (const { at, classes, what } of steps) {
    const fresh = classes.split(', ').filter((one) => !known.has(one))
    if (fresh.length === 0) continue
    for (const one of fresh) known.add(one)
    rows.push(
      html`<li>
        <time datetime="${at}">${at.slice(11, 19)}</time>
        <div>+ ${fresh.map((one) => html`${badge(one, 'medium')} `)}<small>by ${visible(what)}</small></div>
        <small>${visible([...known].join(', '))}</small>
      </li>`,
    )
  }
  const before = brought.length === 0 ? null : html`<p class="soft">It began knowing ${visible(brought.join(', '))}.</p>`
  return html`<h2>Sensitivity over time</h2>
    ${before}
    ${
      rows.length === 0
        ? null
        : html`<ol class="timeline steps">
            ${rows}
          </ol>`
    }`
}
