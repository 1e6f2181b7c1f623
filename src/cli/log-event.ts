/** What events tell, in one line. */

import { objectOf, textsOf } from '../evidence/facts.ts'

/** To whom, what was asked and answered, how long it counts, and why, where an event says so. */
export function eventText(detail: unknown): string {
  const own = objectOf(detail)
  const to = word(own, 'to')
  const expires = own['expires']
  const parts = [
    word(own, 'approval'),
    word(own, 'tool'),
    to === '' ? '' : `to ${to.slice(to.lastIndexOf('/') + 1)}`,
    word(own, 'provider'),
    word(own, 'how'),
    word(own, 'verdict'),
    typeof expires === 'number' && Math.abs(expires) < 8.64e15 ? `until ${new Date(expires).toISOString().slice(0, 19)}Z` : '',
    ...['purpose', 'reason', 'cause'].map((name) => (word(own, name) === '' ? '' : `"${word(own, name)}"`)),
  ]
  return parts.map((part) => (part === '' ? '' : `  ${part}`)).join('')
}

/** What a kill stops, or what came of it, and why. */
export function killText(detail: unknown): string {
  const own = objectOf(detail)
  const counts = ['cut', 'tasks', 'leases'].flatMap((each) => (typeof own[each] === 'number' ? [`${each} ${own[each]}`] : []))
  const parts = [
    word(own, 'scope'),
    word(own, 'name'),
    word(own, 'reason') && `"${word(own, 'reason')}"`,
    ...counts,
    ...textsOf(own['faults']),
    word(own, 'kill'),
  ]
  return parts.filter((part) => part !== '').join('  ')
}

/** A string or number member as text; empty when it is neither. */
function word(own: Readonly<Record<string, unknown>>, name: string): string {
  const value = own[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}
