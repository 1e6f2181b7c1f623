/** Reads the sources of a policy for what would come out in production too late: everything at once. */

import { withSources } from '../compose.ts'
import { runOpa } from '../opa.ts'
import { checkFormat, checkSources } from './compiler.ts'
import { checkActivation, checkAnnotated, checkDefaults } from './entrypoints.ts'
import { factSchemas } from './fact-schemas.ts'
import type { LintFinding } from './findings.ts'
import { checkMetadata, declaredIn } from './metadata.ts'
import { parseSources } from './modules.ts'
import { checkPurity, checkScripts } from './purity.ts'
import { checkTested } from './tested.ts'

/** Findings about the author's folders, by place; what the library says is not theirs. Throws AuthorFault when there is no source. */
export function lintPolicy(folders: readonly string[], library: boolean | null, opa: string): readonly LintFinding[] {
  const found = withSources(folders, { library, tests: true, metadata: {} }, (composed) => {
    const sources = parseSources(composed, opa)
    const declared = declaredIn(sources)
    const current = runOpa(opa, ['capabilities', '--current'], composed.folder).stdout
    return [
      ...checkSources(composed, opa),
      ...checkFormat(composed, opa),
      ...checkMetadata(sources, declared, factSchemas(composed.schemas, sources)),
      ...checkPurity(sources, current),
      ...checkDefaults(sources),
      ...checkAnnotated(sources),
      ...checkTested(sources, declared),
    ]
  })
  // a source that is refused cannot be activated either, and once is enough
  const refused = found.some(({ code }) => code === 'CP1001' || code === 'CP1301')
  const all = [...found, ...checkScripts(folders), ...(refused ? [] : checkActivation(folders, library, opa))]
  return all.sort((one, other) => (one.file === other.file ? one.line - other.line : one.file < other.file ? -1 : 1))
}
