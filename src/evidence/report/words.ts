/** How a report says things; all text of others is shown so that nothing in it can hide or turn round. */
import { html, type Html, type Piece } from '../../admin/html.ts'
import { visible } from '../../approve/visible.ts'

/** Longest text of others in one place; the whole of it stands in `lines.ndjson`. */
const longest = 400

/** Text of others. */
export function shown(text: string | null, none = '—'): string {
  if (text === null || text === '') return none
  return visible(text.length > longest ? `${text.slice(0, longest)}…` : text)
}

export function mono(text: string | null): Html {
  return html`<span class="mono">${shown(text)}</span>`
}

/** A list of others' texts. */
export function listed(texts: readonly string[], none = '—'): string {
  const some = texts.slice(0, 40).map((text) => shown(text))
  const rest = texts.length - some.length
  return texts.length === 0 ? none : `${some.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

/** A moment: day and second. */
export function time(at: string | null): Piece {
  if (at === null) return '—'
  const ms = Date.parse(at)
  if (Number.isNaN(ms)) return shown(at)
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 23)}</time>`
}

/** The hour alone, for lists of one day. */
export function hour(at: string): string {
  const ms = Date.parse(at)
  return Number.isNaN(ms) ? shown(at) : new Date(ms).toISOString().slice(11, 23)
}

/** The end of a SPIFFE ID, by which people know a workload. */
export function short(id: string | null): string {
  return id === null ? '—' : shown(id.slice(id.lastIndexOf('/') + 1) || id)
}

export function badge(word: string, look: 'go' | 'stop' | 'warn' | '' = ''): Html {
  return html`<span class="badge ${look}">${visible(word)}</span>`
}

export function fact(name: string, value: Piece): Html {
  return html`<dt>${name}</dt>
    <dd>${value}</dd>`
}

/** A table, or what is said when it has no rows. */
export function table(heads: readonly string[], rows: readonly (readonly Piece[])[], none: string): Html {
  if (rows.length === 0) return html`<p class="soft">${none}</p>`
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          ${heads.map((head) => html`<th scope="col">${head}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}
