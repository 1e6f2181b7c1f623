/** The page of rules, made from the annotations of the default policy: docs/rules.md. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

/** What an annotation says of one rule. */
interface Rule {
  readonly title: string
  readonly description: string
  readonly custom: {
    readonly id: string
    readonly severity: string
    readonly effect: string
    readonly observable: boolean
    readonly facts: readonly string[]
    /** The member of `decide.settings` without which it is off. */
    readonly setting?: string
    readonly frameworks: Readonly<Record<string, readonly string[]>>
    readonly message: string
    readonly remediation: string
  }
}

/** A question that policy answers, and the files under rego/countersign that hold its rules. */
interface Section {
  readonly heading: string
  readonly about: string
  readonly files: readonly string[]
}

const sections: readonly Section[] = [
  {
    heading: 'A call',
    about: 'Asked for every call (`countersign/decision`).',
    files: ['agent/*.rego', 'call/*.rego', 'decision.rego'],
  },
  {
    heading: 'A task',
    about:
      'Asked when a task is opened, also an implicit one, and when an agent resumes it (`countersign/task`). Always enforced, in observe mode too. There is nothing to ask a person about.',
    files: ['agent/*.rego', 'opening/*.rego', 'task.rego'],
  },
  {
    heading: 'Open work',
    about:
      'Asked when a fact changes that an open stream or a lease rests on (`countersign/continue`, see [policy](policy.md#when-facts-change)). Whatever is not allowed ends.',
    files: ['agent/*.rego', 'ongoing/*.rego', 'continue.rego'],
  },
  {
    heading: 'An answer',
    about: 'Asked about what came back, before the agent gets any of it (`countersign/response`).',
    files: ['answer/*.rego', 'response.rego'],
  },
]

/** Gives the page. `folder` is rego/countersign. Rules that no section names get one of their own, by their file. */
export function rulesPage(folder: string): string {
  const named = new Set(sections.flatMap((section) => filesOf(folder, section.files)))
  const others = filesOf(folder, ['**/*.rego']).filter((path) => !named.has(path) && rulesIn(folder, path).length > 0)
  const more = others.map((path) => ({ heading: `\`${path}\``, about: '', files: [path] }))
  return `${[head, ...[...sections, ...more].map((section) => text(folder, section))].join('\n\n')}\n`
}

const head = `# Rules

Made from the annotations in \`rego/countersign/\` by \`npm run policy\`; a test keeps it fresh. [Policy](policy.md) says how they come to a decision, [the library](library.md) what to write your own with.

A rule with a *setting* is off until \`decide.settings\` has that member ([configuration](config.md)); where the setting names an effect, that counts. *Observable* rules can be watched before they are enforced. *Needs* are the members of the input that a rule reads: where one is missing or unknown, the rule refuses.

The control ids come out in every decision and stand in the ledger: OWASP Agentic Top 10 (ASI), OWASP Non-Human Identities Top 10 (NHI), MITRE ATLAS (AML), NIST CSF 2.0 (PR, DE, ID, GV, RS), NIST AI RMF (GOVERN, MAP, MEASURE, MANAGE), CSA MAESTRO layers. They say which controls a rule serves. They are no claim of compliance.`

function text(folder: string, { heading, about, files }: Section): string {
  const rules = filesOf(folder, files).flatMap((path) => rulesIn(folder, path))
  const parts = [`## ${heading}`, ...(about === '' ? [] : [about]), overview(rules), remedies(rules)]
  return parts.join('\n\n')
}

function overview(rules: readonly Rule[]): string {
  return table(
    ['rule', 'effect', 'severity', 'observable', 'setting', 'what it holds', 'needs', 'controls'],
    rules.map(({ description, custom: { id, effect, severity, observable, setting, facts, frameworks } }) => [
      `\`${id}\``,
      effect,
      severity,
      observable ? 'yes' : 'no',
      setting === undefined ? '' : `\`${setting}\``,
      description,
      facts.map((fact) => `\`${fact}\``).join(', ') || 'all of it',
      controls(frameworks),
    ]),
  )
}

function remedies(rules: readonly Rule[]): string {
  return table(
    ['rule', 'what the agent reads', 'what to do'],
    rules.map(({ custom: { id, message, remediation } }) => [`\`${id}\``, message, remediation]),
  )
}

/** In the order in which a decision has them. */
function controls(frameworks: Rule['custom']['frameworks']): string {
  const layers = (frameworks['csa_maestro'] ?? []).map((layer) => `MAESTRO ${layer}`)
  const ids = ['owasp_agentic', 'owasp_nhi', 'mitre_atlas', 'nist_csf', 'nist_ai_rmf'].flatMap((name) => frameworks[name] ?? [])
  return [...ids, ...layers].join(', ')
}

function filesOf(folder: string, patterns: readonly string[]): string[] {
  const found = patterns.flatMap((pattern) =>
    globSync(pattern, { cwd: folder })
      .map((path) => path.replaceAll('\\', '/'))
      .sort(),
  )
  return [...new Set(found)].filter((path) => !path.endsWith('_test.rego'))
}

function rulesIn(folder: string, path: string): Rule[] {
  const blocks = readFileSync(join(folder, path), 'utf8').matchAll(/^# METADATA\n((?:#.*\n)+)/gm)
  return Array.from(blocks, ([, block = '']): Rule => parse(block.replaceAll(/^# ?/gm, ''))).filter(({ custom }) => custom !== undefined)
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells
      .map((cell) =>
        cell
          .trim()
          .replaceAll('|', '\\|')
          .replaceAll(/\s*\n\s*/g, ' '),
      )
      .join(' | ')} |`
  return [line(titles), line(titles.map(() => '---')), ...rows.map((row) => line(row))].join('\n')
}
