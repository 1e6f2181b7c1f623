/** What the schema has to say about a configuration, as findings. */
import type { z } from 'zod'
import type { Finding } from './findings.ts'
import { jsonSchema } from './schema.ts'
import { keysAt, nearest } from './suggest.ts'
import type { Place } from './yaml-text.ts'

/** `under`: where in the whole configuration the document that was checked stands; keys that are close are looked up there. */
export function describeIssue(issue: z.core.$ZodIssue, place: Place, under: readonly PropertyKey[] = []): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const close = nearest(key, keysAt(jsonSchema(), [...under, ...issue.path]))
      return place('CS1204', 'error', [...issue.path, key], `unknown key "${key}"${close ? `, did you mean "${close}"?` : ''}`)
    })
  }
  const name = issue.path.map(String).join('.')
  if (issue.path.at(-1) === 'unsafe_standing') return [place('CS1310', 'error', issue.path, issue.message)]
  if (isSecretPlace(issue))
    return [place('CS1301', 'error', issue.path, `${name}: a secret never stands in the file: say { file: … } or { env: … }`)]
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const best = issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] ?? []
    if (best.length > 0) return best.flatMap((inner) => describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, place, under))
  }
  const missing = issue.message.endsWith('received undefined') || (issue.code === 'invalid_value' && issue.input === undefined)
  if (missing) return [place('CS1202', 'error', issue.path, name === '' ? 'the file is empty' : `missing: ${name}`)]
  return [place('CS1201', 'error', issue.path, name === '' ? issue.message : `${name}: ${issue.message}`)]
}

/** A plain value where only a reference to a secret may stand. */
function isSecretPlace(issue: z.core.$ZodIssue): boolean {
  const last = issue.path.at(-1)
  return (
    (last === 'secret' || last === 'value' || last === 'bearer') &&
    (issue.code === 'invalid_union' || issue.code === 'invalid_type') &&
    !issue.message.endsWith('undefined')
  )
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length))
}
