/** Who acts for the subject of a token, as its issuer says: the claims `act` and `may_act` of RFC 8693. */
import { isMembers, member, type Members } from '../strict-json.ts'

/** A party that acts. RFC 8693 §4.1: `iss` and `sub` identify it. */
export interface Actor {
  readonly subject: string
  readonly issuer: string | null
}

/** What a token says of whom it was handed to. */
export interface Acting {
  /** Whoever acts, oldest first: the last one acts now, the others did before (RFC 8693 §4.1). */
  readonly actors: readonly Actor[]
  /** The only party that may come to act for the subject (RFC 8693 §4.4); null where the token does not say. */
  readonly mayAct: Actor | null
  /** False: the claims are there and cannot be read, so that nobody knows who acts. */
  readonly verified: boolean
}

/** So many parties may stand in one chain. */
export const mostActors = 8

const longest = 512
const unreadable: Acting = { actors: [], mayAct: null, verified: false }

/**
 * Reads `act` and `may_act` of claims that were verified; null where neither is there. Other members than `sub`, `iss` and `act` say more
 * about a party and are not read: RFC 8693 §4.1 gives `exp`, `nbf` and `aud` no meaning there.
 */
export function readActing(claims: Members): Acting | null {
  const act = member(claims, 'act')
  const may = member(claims, 'may_act')
  if (act === undefined && may === undefined) return null
  const mayAct = may === undefined ? null : readActor(may)
  if (may !== undefined && mayAct === null) return unreadable
  const actors: Actor[] = []
  for (let link = act; link !== undefined; link = isMembers(link) ? member(link, 'act') : undefined) {
    const actor = readActor(link)
    if (actor === null || actors.length === mostActors) return unreadable
    actors.push(actor)
  }
  return { actors: actors.reverse(), mayAct, verified: true }
}

function readActor(value: unknown): Actor | null {
  if (!isMembers(value)) return null
  const subject = member(value, 'sub')
  const issuer = member(value, 'iss') ?? null
  if (!isName(subject) || (issuer !== null && !isName(issuer))) return null
  return { subject, issuer }
}

function isName(value: unknown): value is string {
  return (
    typeof value === 'string' && value !== '' && value.length <= longest && value.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)
  )
}
