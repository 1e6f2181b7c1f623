/** A credential as a query parameter. */
import { Refusal } from '../refusal.ts'
import type { Lease, Placement } from '../credential/credential.ts'
import { readable } from './apply-text.ts'
import type { Applied, Outgoing } from './outgoing.ts'

/** Appended last; a parameter of the same name from the agent is refused, since upstreams differ on which of two counts. */
export function inQuery(lease: Lease, placement: Placement & { readonly in: 'query' }, { headers, path }: Outgoing): Applied {
  if (hasParameter(path, placement.name)) {
    throw new Refusal('listen.malformed', { reasons: ['a query parameter carries the credential of this route: leave it out'] })
  }
  const parameter = `${encodeURIComponent(placement.name)}=${encodeURIComponent(readable(lease.secret))}`
  return { headers, path: path + (path.includes('?') ? '&' : '?') + parameter }
}

function hasParameter(path: string, name: string): boolean {
  const mark = path.indexOf('?')
  return mark !== -1 && namesField(path.slice(mark + 1), name)
}

/**
 * Whether an urlencoded text has a field that some server takes for this name: decoded, in any case, with `;` between fields, cut at a NUL,
 * as an array (`name[]`), or with a dot or blank where the name has an underscore (PHP).
 */
export function namesField(text: string, name: string): boolean {
  const wanted = folded(name)
  return text.split(/[&;]/).some((pair) => {
    try {
      return folded(decodeURIComponent((pair.split('=', 1)[0] ?? '').replaceAll('+', ' '))) === wanted
    } catch {
      return true // unreadable: taken for a match, so refused
    }
  })
}

function folded(name: string): string {
  const cut = name.search(/[[\0]/)
  const whole = cut <= 0 ? name : name.slice(0, cut)
  return whole.trim().toLowerCase().replaceAll(/[. ]/g, '_')
}
