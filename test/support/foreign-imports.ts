/** Which packages a file brings along, by itself or through the files that it imports; types bring nothing. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** At once when the file is loaded. `later`: those that are loaded when they are needed too. */
export function foreignImports(entry: string, { later }: { readonly later: boolean }): string[] {
  const foreign = new Set<string>()
  const seen = new Set<string>()
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    const names = [...text.matchAll(/^import (?!type )[^'"]*'([^']+)'/gm)]
    if (later) names.push(...text.matchAll(/(?:\bimport|createRequire\(import\.meta\.url\))\('([^']+)'\)/g))
    for (const [, from = ''] of names) {
      if (from.startsWith('.')) visit(resolve(dirname(file), from))
      else if (!from.startsWith('node:')) foreign.add(from)
    }
  }
  visit(entry)
  return [...foreign].toSorted()
}
