/** Names what still stands: zero standing privilege is shown, not claimed. */
import type { Config } from '../config/schema.ts'
import { standingSecrets } from '../config/standing.ts'
import { note, ok, warning, type Check } from './findings.ts'

/** One finding for each standing secret of the configuration; one `ok` when there is none. */
export function standingChecks(config: Config): Check[] {
  const found = standingSecrets(config)
  if (found.length === 0) return [ok('standing secrets', 'there is none: every credential is issued for one task and ends with it')]
  return found.map(({ place, what, routes, instead, lent }) => {
    const used = routes.length === 0 ? (lent ? ', which no route uses' : '') : `, used by ${routes.join(', ')}`
    const wrong = { subject: place, seen: `a secret stands: ${what}${used}`, fix: instead }
    return lent ? warning('CS2801', wrong) : note('CS2802', wrong)
  })
}
