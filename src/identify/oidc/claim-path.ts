import { isMembers } from '../strict-json.ts'
import type { Members } from '../strict-json.ts'

/** The claims of a token do not answer what was asked of them; the message is for the operator. */
export class UnfitClaims extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'UnfitClaims'
  }
}

/**
 * The value at a dotted path into claims, or undefined. A name may hold dots itself, as `kubernetes.io` and `https://sts.amazonaws.com/`
 * do, so a path can be read in several ways: it has to lead to a value in exactly one of them. Throws `UnfitClaims` when there are two,
 * because whoever may add a claim to its token could then choose which is read. Only own members are looked at.
 */
export function claimAt(claims: Members, path: string): unknown {
  const found: unknown[] = []
  collect(claims, path, found)
  if (found.length > 1) throw new UnfitClaims(`the claim ${path} is there more than once`)
  return found[0]
}

/** Each object has one rest of the path to look for, so this takes no more steps than there are members. */
function collect(object: Members, rest: string, found: unknown[]): void {
  for (const name of Object.keys(object)) {
    if (name === rest) {
      found.push(object[name])
      continue
    }
    if (!rest.startsWith(name) || rest[name.length] !== '.') continue
    const inner = object[name]
    if (isMembers(inner)) collect(inner, rest.slice(name.length + 1), found)
  }
}
