/**
 * What nobody sees, and what passes for a plain blank: controls, format and bidirectional characters, zero-width and other ignorable ones,
 * separators, private and unassigned ones, blanks of other widths.
 */
const unseen = /(?![\n ])[\p{C}\p{Z}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\u2800]/gu

/**
 * Text as a person may be shown it: every such character stands there as `⟨U+202E⟩`, so that text cannot hide, nor show itself in another order
 * than it is sent in. `lines`: line ends and tabs stay, as in a document.
 */
export function visible(text: string, lines = false): string {
  return text
    .toWellFormed()
    .replace(unseen, (unit) => (lines && unit === '\t' ? unit : named(unit)))
    .replaceAll('\n', lines ? '\n' : named('\n'))
}

function named(unit: string): string {
  return `⟨U+${(unit.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`
}
