/** Trees of tasks as text. */

interface TreeView {
  readonly id: string
  readonly state: string
  readonly caller: string
  readonly purpose: string
  readonly budget: Readonly<Record<string, { readonly spent: number; readonly most: number | null }>>
  readonly sensitivity: readonly string[]
  readonly paused: { readonly by: string; readonly reason: string } | null
  readonly ended: { readonly by: string; readonly cause: string } | null
  readonly offered: readonly { readonly id: string; readonly to: string }[]
  readonly children: readonly TreeView[]
}

/** One line a task, its children indented below it; what agents wrote cannot move the cursor. */
export function treeText(trees: readonly unknown[]): string {
  return trees
    .filter(isTree)
    .flatMap((tree) => linesOf(tree, '', ''))
    .map((line) => `${line.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')}\n`)
    .join('')
}

function linesOf(tree: TreeView, branch: string, indent: string): string[] {
  const lines = [`${branch}${taskText(tree)}`]
  let left = tree.offered.length + tree.children.length
  for (const { id, to } of tree.offered) lines.push(`${indent}${--left === 0 ? '└─ ' : '├─ '}${id}  offered    ${lastOf(to)}`)
  for (const child of tree.children) {
    const last = --left === 0
    lines.push(...linesOf(child, `${indent}${last ? '└─ ' : '├─ '}`, `${indent}${last ? '   ' : '│  '}`))
  }
  return lines
}

function taskText({ id, state, caller, purpose, budget, sensitivity, paused, ended }: TreeView): string {
  const spent = Object.entries(budget).map(([meter, { spent: so, most }]) => `${meter} ${so}${most === null ? '' : `/${most}`}`)
  const read = sensitivity.length === 0 ? [] : [`read ${sensitivity.join(' ')}`]
  const why = paused ? [`${paused.by}: ${paused.reason}`] : ended ? [`${ended.by}: ${ended.cause}`] : []
  return [id, state.padEnd(9), lastOf(caller), purpose, ...spent, ...read, ...why].join('  ')
}

function lastOf(spiffeId: string): string {
  return spiffeId.slice(spiffeId.lastIndexOf('/') + 1)
}

function isTree(value: unknown): value is TreeView {
  return value !== null && typeof value === 'object' && 'id' in value && 'children' in value
}
