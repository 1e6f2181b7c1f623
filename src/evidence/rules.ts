/** What is still known of the rules of a policy revision: what its bundle says of them. */
import { readFileSync } from 'node:fs'
import { hash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { filesInBundle, regoIn } from '../author/bundle-files.ts'
import { controlsOf, readCatalogue } from '../author/catalogue.ts'
import { readBundle } from '../decide/bundle/bundle.ts'
import type { RulesOf } from './export-set.ts'

const shipped = fileURLToPath(new URL('../../rego/policy.tar.gz', import.meta.url))

/** The rules of these packed bundles, by revision; those that cannot be read say nothing. */
export function rulesIn(bundles: readonly Uint8Array[]): RulesOf {
  const known = new Map<string, object>()
  for (const bytes of bundles) {
    try {
      const { revision } = readBundle(bytes)
      if (!known.has(revision)) known.set(revision, { bundle_sha256: hash('sha256', bytes), revision, rules: rulesOf(bytes) })
    } catch {
      // a bundle that is being replaced, or is none
    }
  }
  return (revision) => known.get(revision) ?? null
}

/** Those of the default policy of this version, and of these files where they are there. */
export function shippedRules(paths: readonly string[] = []): RulesOf {
  return rulesIn(
    [shipped, ...paths].flatMap((path) => {
      try {
        return [readFileSync(path)]
      } catch {
        return []
      }
    }),
  )
}

function rulesOf(bytes: Uint8Array): readonly object[] {
  const { rules } = readCatalogue(regoIn(filesInBundle(bytes)))
  return rules.map((rule) => {
    const { id, title, description, severity, effect, package: name } = rule
    return { controls: controlsOf(rule), description, effect, name: id, package: name, severity, title }
  })
}
