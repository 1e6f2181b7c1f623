/** Whether nothing is allowed that no rule allows, and whether what is asked is there. */

import { BundleFault } from '../../decide/bundle/fault.ts'
import { buildPolicy, plainly } from '../build.ts'
import { valueAt } from '../json-path.ts'
import { AuthorFault } from '../opa.ts'
import { tryBundle } from '../trial.ts'
import { finding, type LintFinding } from './findings.ts'
import type { RegoSource } from './modules.ts'

const asked: Readonly<Record<string, readonly string[]>> = {
  countersign: ['decision', 'task', 'continue', 'response'],
  'system.log': ['mask', 'drop'],
}

export function checkDefaults(sources: readonly RegoSource[]): LintFinding[] {
  return sources.flatMap(({ file, isTest, rules }) =>
    isTest
      ? []
      : rules
          .filter(({ isDefault, node }) => isDefault && allows(valueAt(node, 'head.value')))
          .map(({ name, line }) =>
            finding('CP1202', file, line, `default ${name} holds when nothing is known: make it false, and say when it is true`),
          ),
  )
}

/** `true`, `"allow"`, or an object that says so. */
function allows(term: unknown): boolean {
  const value = valueAt(term, 'value')
  if (value === true || value === 'allow') return true
  return valueAt(term, 'type') === 'object' && /"value":"effect"\},\{[^{}]*"value":"allow"/.test(JSON.stringify(value, withoutPlace))
}

function withoutPlace(name: string, value: unknown): unknown {
  return name === 'location' ? undefined : value
}

export function checkAnnotated(sources: readonly RegoSource[]): LintFinding[] {
  const found: LintFinding[] = []
  for (const [owner, names] of Object.entries(asked)) {
    const rules = sources.flatMap((source) =>
      source.package === owner && !source.isTest ? source.rules.map((rule) => ({ source, rule })) : [],
    )
    for (const name of names) {
      const mine = rules.filter(({ rule }) => rule.name === name)
      const [first] = mine
      if (first === undefined || mine.some(({ rule }) => rule.annotations.some((one) => one['entrypoint'] === true))) continue
      const what = `${owner}.${name} is not compiled in: put "# METADATA" and "# entrypoint: true" above it`
      found.push(finding('CP1203', first.source.file, first.rule.line, what))
    }
  }
  return found
}

/** What is allowed not to be there, and what that means. */
export const optionalEntrypoints: Readonly<Record<string, string>> = {
  'countersign/continue': 'no countersign/continue: leases and streams are not judged again when policy or circumstances change',
  'countersign/response': 'no countersign/response: what comes back is neither refused, masked nor labelled',
}

/** Compiles and activates it as the sidecar does: that includes that an input which says nothing is denied. */
export function checkActivation(folders: readonly string[], library: boolean | null, opa: string): LintFinding[] {
  try {
    const { bundle } = tryBundle(buildPolicy(folders, { ...plainly, library }, opa).bytes)
    const absent = Object.entries(optionalEntrypoints).filter(([name]) => !bundle.manifest.entrypoints.includes(name))
    return absent.map(([, text]) => finding('CP1204', '', 0, text))
  } catch (error) {
    if (!(error instanceof BundleFault) && !(error instanceof AuthorFault)) throw error
    return [finding('CP1201', '', 0, error.message)]
  }
}
