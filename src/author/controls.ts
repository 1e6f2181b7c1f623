/** The control ids that were checked against their frameworks' own texts: rego/controls.json. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packaged } from './compose.ts'
import { isRecord, textsAt } from './json-path.ts'

/** Framework, as annotations name it → the ids that are known of it. An id that is not among them may exist; nobody has checked. */
export function knownControls(): ReadonlyMap<string, ReadonlySet<string>> {
  const found: unknown = JSON.parse(readFileSync(join(packaged, 'controls.json'), 'utf8'))
  return new Map(Object.keys(isRecord(found) ? found : {}).map((name) => [name, new Set(textsAt(found, `${name}.ids`))]))
}
