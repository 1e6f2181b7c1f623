/** What a line says outside of what policy masks, hidden with it. */

import { quote } from './json-text.ts'
import type { Spoken } from './mask.ts'
import type { Pseudonym } from './pseudonym.ts'

/** What becomes of a text: null takes it away. */
export type Veil = (text: string) => string | null

/** What is said again under `custom.countersign`, and masked there too; null: it stays. */
export interface Hidden {
  readonly resource: Veil | null
  /** Who the work began with. */
  readonly root: Veil | null
  /** The person it is done for. */
  readonly human: Veil | null
  readonly reasons: boolean
}

export const nothing: Hidden = { resource: null, root: null, human: null, reasons: false }
const away: Veil = () => null

/** What goes with the paths that were masked. The reasons that an agent was given are those of the result. */
export function hiddenBy({ erased, masked, hashed, withheld }: Spoken, pseudonym: Pseudonym | undefined): Hidden {
  const covers = (paths: readonly string[], place: string): boolean => paths.some((path) => place === path || place.startsWith(`${path}/`))
  const under = (place: string): boolean => withheld || covers(erased, place) || covers(masked, place)
  const replaced = masked.filter((path) => !hashed.includes(path))
  // what was hashed and also taken away is away
  const veil = (place: string): Veil | null =>
    !under(place)
      ? null
      : !withheld && covers(hashed, place) && !covers(erased, place) && !covers(replaced, place)
        ? (pseudonym ?? away)
        : away
  const within = [erased, masked].some((paths) => paths.some((path) => path.startsWith('/result/reasons/')))
  return {
    resource: veil('/input/tool/resource'),
    root: veil('/input/delegation/root'),
    human: veil('/input/task/on_behalf_of/subject'),
    reasons: within || under('/result/reasons'),
  }
}

/** The text as it is shown, as JSON. */
export function veiled(text: string, veil: Veil | null, cap: number): string {
  const shown = veil === null ? text : veil(text)
  return shown === null ? 'null' : quote(shown, cap)
}
