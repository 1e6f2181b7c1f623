/** Names the resource a call touches, from a tool's template such as `customer:{id}`. */

import { Refusal } from '../refusal.ts'

/** Takes the named pieces of a path and gives the resource; throws `match.unroutable` when a value cannot be named safely. */
export type NameResource = (params: Readonly<Record<string, string>>) => string

/**
 * Compiles a resource template. `names` are the parameters its path template has. Throws an Error that says what is wrong.
 *
 * Values go in as they are: patterns stand only in an intent, never in a resource, so a value such as `*` matches no more than
 * itself. What a value must not do is run into the text after it, or `repo:{org}/{name}` could be read in two ways: such a
 * call is refused, as is one with a control character.
 */
export function compileResource(written: string, names: ReadonlySet<string>): NameResource {
  const texts = written.split(/\{[^{}]*\}/)
  const params = Array.from(written.matchAll(/\{([^{}]*)\}/g), (match) => match[1] ?? '')
  for (const name of params) if (!names.has(name)) throw new Error(`{${name}} does not stand in match`)
  if (/[{}]/.test(texts.join(''))) throw new Error('a brace stands alone')
  if (texts.slice(1, -1).includes('')) throw new Error('two parameters need text between them')
  const first = texts[0] ?? ''
  return (values) => {
    let resource = first
    for (const [at, name] of params.entries()) {
      const value = values[name] ?? ''
      const after = texts[at + 1] ?? ''
      const piece = value + after
      // the text after a value must be found where the value ends, and not before
      if (value === '' || !isNameable(value) || (after !== '' && piece.indexOf(after) !== value.length))
        throw new Refusal('match.unroutable', { reasons: ['the path names no resource'] })
      resource += piece
    }
    return resource
  }
}

/** No C0 or C1 control and no DEL, and no half of a surrogate pair. */
function isNameable(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const unit = value.charCodeAt(at)
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return false
  }
  return value.isWellFormed()
}
