/** Reads values where the engine has them in its memory; see `../kept.ts` for how they are laid out. */

/** Kinds of values, as the engine numbers them. */
export const kinds = { null: 1, boolean: 2, number: 3, string: 4, array: 5, object: 6, set: 7 } as const

const internedString = 8
const internedBoolean = 9
const asInteger = 1
const asText = 2

/** Whole numbers of up to 15 digits are the same number in every reading. */
const exact = /^-?\d{1,15}$/

/** The kind of the value at an address; 0 when nothing that is known stands there. */
export function kindAt(view: DataView, at: number): number {
  if (at <= 0 || at >= view.byteLength) return 0
  const kind = view.getUint8(at)
  if (kind === internedString) return kinds.string
  return kind === internedBoolean ? kinds.boolean : kind
}

/** The text of a string; null for another value. */
export function textAt(view: DataView, at: number): string | null {
  if (kindAt(view, at) !== kinds.string) return null
  return decoded(view, view.getUint32(at + 8, true), view.getUint32(at + 4, true))
}

/** A whole number that is surely exact; null for another value. */
export function wholeAt(view: DataView, at: number): number | null {
  if (kindAt(view, at) !== kinds.number) return null
  const form = view.getUint8(at + 1)
  const text =
    form === asInteger
      ? String(view.getBigInt64(at + 8, true))
      : form === asText
        ? decoded(view, view.getUint32(at + 8, true), view.getUint32(at + 12, true))
        : ''
  return exact.test(text) ? Number(text) : null
}

/** Which boolean; null for another value. */
export function flagAt(view: DataView, at: number): boolean | null {
  return kindAt(view, at) === kinds.boolean ? view.getUint8(at + 1) !== 0 : null
}

/** The texts of a list of strings; null for another value. */
export function textsAt(view: DataView, at: number): readonly string[] | null {
  if (kindAt(view, at) !== kinds.array) return null
  const items = view.getUint32(at + 4, true)
  const texts: string[] = []
  for (let item = 0; item < view.getUint32(at + 8, true); item++) {
    const text = textAt(view, view.getUint32(items + item * 8 + 4, true))
    if (text === null) return null
    texts.push(text)
  }
  return texts
}

function decoded(view: DataView, at: number, length: number): string {
  return Buffer.from(view.buffer, at, length).toString('utf8')
}
