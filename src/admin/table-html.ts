/** Tables of the page: wide ones scroll by themselves, never the page. */
import { html, type Html, type Piece } from './html.ts'

export interface Column<Row> {
  readonly head: string
  readonly cell: (row: Row) => Piece
  /** Figures stand in a column, right. */
  readonly figures?: true
}

/** `caption`: what it is a table of, read out and not shown. Wide tables can be scrolled by the keyboard. */
export function tableOf<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): Html {
  const figures = (column: Column<Row>): Piece => (column.figures === true ? html` class="figures"` : null)
  const head = columns.map((column) => html`<th scope="col" ${figures(column)}>${column.head}</th>`)
  const lines = rows.map((row) => {
    const cells = columns.map((column, at) =>
      at === 0 ? html`<th scope="row">${column.cell(row)}</th>` : html`<td ${figures(column)}>${column.cell(row)}</td>`,
    )
    return html`<tr>
      ${cells}
    </tr>`
  })
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </div>`
}

/** Names and values; a value that is null is left out. */
export function factsOf(facts: readonly (readonly [label: string, value: Piece])[]): Html {
  return html`<dl>
    ${facts.map(([label, value]) =>
      value === null
        ? null
        : html`<dt>${label}</dt>
            <dd>${value}</dd>`,
    )}
  </dl>`
}

/** Every value on a line of its own; `none` where there is none. */
export function listOf(values: readonly string[], none = 'none'): Piece {
  if (values.length <= 1) return values[0] ?? none
  return html`<ul>
    ${values.map((value) => html`<li>${value}</li>`)}
  </ul>`
}
