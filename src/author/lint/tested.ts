/** Whether every rule was seen to refuse something, and to let something pass. */

import { textAt } from '../json-path.ts'
import { finding, type LintFinding } from './findings.ts'
import type { Declared } from './metadata.ts'
import { refName, visit, type RegoSource } from './modules.ts'

/** A rule is tested when a test names its id, and a test beside it holds that nothing was found: `== set()`, `"allow"`, or a `not`. */
export function checkTested(sources: readonly RegoSource[], declared: readonly Declared[]): LintFinding[] {
  const tests = sources.filter(({ isTest }) => isTest).map(readTests)
  return declared.flatMap(({ id, source, rule }) => {
    if (id === '') return []
    const naming = tests.filter(({ texts }) => texts.has(id))
    if (naming.length === 0)
      return [finding('CP1401', source.file, rule.line, `no test names ${id}: add one that expects it, and one that does not`)]
    if (naming.some(({ passes }) => passes)) return []
    const what = `no test beside those of ${id} shows what it lets pass: add one that expects nothing (== set())`
    return [finding('CP1402', source.file, rule.line, what)]
  })
}

interface Tests {
  /** Every word of the texts in a test. */
  readonly texts: ReadonlySet<string>
  readonly passes: boolean
}

function readTests({ rules }: RegoSource): Tests {
  const texts = new Set<string>()
  let passes = false
  for (const rule of rules.filter(({ name }) => name.startsWith('test_'))) {
    visit(rule.node, (node) => {
      const { type, value } = node
      if (type === 'string') for (const word of textAt(node, 'value').split(' ')) texts.add(word)
      const empty = (type === 'set' || type === 'array') && Array.isArray(value) && value.length === 0
      // the empty set is written as a call
      if (empty || refName(node) === 'set' || (type === 'string' && value === 'allow') || node['negated'] === true) passes = true
    })
  }
  return { texts, passes }
}
