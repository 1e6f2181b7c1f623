/** From how many resources of one kind on a pattern says more than the list of them. */
const enough = 3

/**
 * Patterns that cover these resources and as little else as can be said: one of a kind or two stay what they are; from three on
 * the part they share, cut back to its last `:` or `/`, and `*`. Kinds (`customer:`) never merge.
 */
export function narrowest(resources: readonly string[]): readonly string[] {
  const kinds = new Map<string, string[]>()
  for (const resource of resources) {
    const kind = resource.slice(0, resource.indexOf(':') + 1)
    kinds.set(kind, [...(kinds.get(kind) ?? []), resource])
  }
  return [...kinds].flatMap(([kind, found]) => (found.length < enough || kind === '' ? found : [`${sharedStem(found)}*`])).sort()
}

/** What all begin with, up to and with the last separator in it. */
function sharedStem(texts: readonly string[]): string {
  let stem = texts[0] ?? ''
  for (const text of texts) {
    let length = 0
    while (length < stem.length && stem[length] === text[length]) length++
    stem = stem.slice(0, length)
  }
  return stem.slice(0, Math.max(stem.lastIndexOf(':'), stem.lastIndexOf('/')) + 1)
}
