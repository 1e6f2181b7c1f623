/** Whether rules depend on their input and data alone, and on what the host can run. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capabilitiesPath } from '../build.ts'
import { textAt, valueAt } from '../json-path.ts'
import { finding, type LintFinding } from './findings.ts'
import { lineOf, recordsIn, refName, visit, type RegoSource } from './modules.ts'

/** Why a builtin is not lent, by the beginning of its name. */
const reasons: readonly (readonly [string, string])[] = [
  ['http.', 'policy waits for nothing: have the fact looked up before, or put it into the data of the bundle'],
  ['net.lookup', 'policy waits for nothing: judge the name, or list addresses in the data of the bundle'],
  ['rand.', 'the same call must be decided the same way again'],
  ['uuid.', 'the same call must be decided the same way again'],
  ['opa.runtime', 'policy does not read the environment it runs in: put it into the data of the bundle'],
  ['io.jwt', 'who calls was verified before: read input.caller'],
  ['crypto.', 'who calls was verified before: read input.caller'],
  ['providers.', 'credentials never pass through policy'],
  ['regex.', 'a pattern must run in linear time: use regex.match or regex.find_all_string_submatch_n'],
  ['time.', 'settings and times are compared as numbers: use input.context.now, epoch ms'],
]

/** `current` is what the compiler itself knows: the text of `opa capabilities --current`. */
export function checkPurity(sources: readonly RegoSource[], current: string): LintFinding[] {
  const lent = builtinsIn(readFileSync(capabilitiesPath, 'utf8'))
  const known = builtinsIn(current)
  return sources.filter(({ isTest }) => !isTest).flatMap((source) => impure(source, (name) => known.has(name) && !lent.has(name)))
}

function impure({ file, package: owner, rules }: RegoSource, refused: (name: string) => boolean): LintFinding[] {
  const helper = owner.split('.').includes('lib')
  const found = new Map<string, LintFinding>()
  const add = (one: LintFinding): void => void found.set(`${one.code} ${one.line} ${one.message}`, one)
  for (const rule of rules) {
    visit(rule.node, (node) => {
      const name = refName(node)
      const line = lineOf(node, rule.line)
      if (name === 'time.now_ns')
        add(finding('CP1302', file, line, 'time.now_ns is not in the record, so it cannot be replayed: use input.context.now, epoch ms'))
      else if (refused(name)) {
        const why = reasons.find(([start]) => name.startsWith(start))?.[1] ?? 'the host does not have it: see rego/capabilities.json'
        add(finding('CP1301', file, line, `${name} is not lent to policy: ${why}`))
      }
      const reads = name === 'input' || name.startsWith('input.') || (node['type'] === 'var' && node['value'] === 'input')
      if (helper && reads) add(finding('CP1303', file, line, `${owner} is for helpers and reads input: take what it needs as an argument`))
    })
  }
  return [...found.values()]
}

function builtinsIn(text: string): ReadonlySet<string> {
  return new Set(recordsIn(valueAt(JSON.parse(text), 'builtins')).map((one) => textAt(one, 'name')))
}

const scripts = ['Makefile', '*.mk', '**/*.{sh,yml,yaml}', 'package.json', '*.md', '.github/workflows/*.{yml,yaml}']

/** Rules over data that comes later are removed by the optimiser, deny rules among them. */
export function checkScripts(folders: readonly string[]): LintFinding[] {
  return folders.flatMap((folder) =>
    globSync(scripts, { cwd: folder }).flatMap((path) => {
      const text = readFileSync(join(folder, path), 'utf8')
      const command = /\bopa build\b(?:[^\n]|\\\n)*?\s(?:-O\s*=?[12]|--optimize[ =][12])/.exec(text)
      if (command === null) return []
      const line = text.slice(0, command.index).split('\n').length
      return [
        finding(
          'CP1304',
          join(folder, path),
          line,
          'this builds with the optimiser, which removes deny rules over data that comes later: use countersign policy build',
        ),
      ]
    }),
  )
}
