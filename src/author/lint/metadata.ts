/** Whether every rule says of itself what a decision, a catalogue and an operator need. */

import { knownControls } from '../controls.ts'
import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from '../json-path.ts'
import type { FactSchemas } from './fact-schemas.ts'
import { finding, type LintFinding } from './findings.ts'
import { refName, visit, type RegoRule, type RegoSource } from './modules.ts'

/** An annotation with `custom`, and the statement that it stands on. */
export interface Declared {
  readonly id: string
  readonly source: RegoSource
  readonly rule: RegoRule
  readonly annotation: JsonRecord
}

/** The sets that decide, and the effect that a rule of each has. */
const effects: Readonly<Record<string, string>> = { deny: 'deny', ask: 'ask', defer: 'defer', obligations: 'obligate' }

export function declaredIn(sources: readonly RegoSource[]): readonly Declared[] {
  return sources
    .filter(({ isTest }) => !isTest)
    .flatMap((source) =>
      source.rules.flatMap((rule) =>
        rule.annotations
          .filter((annotation) => isRecord(annotation['custom']))
          .map((annotation) => ({ id: textAt(annotation, 'custom.id'), source, rule, annotation })),
      ),
    )
}

export function checkMetadata(sources: readonly RegoSource[], declared: readonly Declared[], schemas: FactSchemas): LintFinding[] {
  const controls = knownControls()
  const found = declared.flatMap((one) => [...missing(one), ...unknownControls(one, controls), ...unknownFacts(one, schemas)])
  const seen = new Map<string, Declared>()
  for (const one of declared) {
    // each entrypoint has a rule of its own for what no other rule allowed
    const key = `${one.id === 'default' ? one.source.file : one.source.package} ${one.id}`
    const first = seen.get(key)
    if (first === undefined) seen.set(key, one)
    else if (one.id !== '')
      found.push(at(one, 'CP1103', `${one.id} is the id of ${first.source.file}:${first.rule.line} too: give it one of its own`))
  }
  return [...found, ...checkUse(sources, declared)]
}

const texts = ['title', 'description', 'custom.id', 'custom.severity', 'custom.effect', 'custom.message', 'custom.remediation']

const words: Readonly<Record<string, readonly string[]>> = {
  'custom.severity': ['low', 'medium', 'high', 'critical'],
  'custom.effect': Object.values(effects),
}

function missing(one: Declared): LintFinding[] {
  const { annotation } = one
  const wrong: string[] = texts.filter((place) => textAt(annotation, place).trim() === '')
  for (const [place, known] of Object.entries(words))
    if (!wrong.includes(place) && !known.includes(textAt(annotation, place))) wrong.push(`${place} (one of ${known.join(', ')})`)
  if (!wrong.includes('custom.id') && !/^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(one.id)) wrong.push('custom.id (such as acme.large-refund)')
  if (typeof valueAt(annotation, 'custom.observable') !== 'boolean') wrong.push('custom.observable (true or false)')
  const facts = valueAt(annotation, 'custom.facts')
  if (!Array.isArray(facts) || !facts.every((fact) => typeof fact === 'string')) wrong.push('custom.facts (a list such as [tool.name])')
  const frameworks = valueAt(annotation, 'custom.frameworks')
  if (!isRecord(frameworks) || Object.keys(frameworks).length === 0) wrong.push('custom.frameworks (such as owasp_agentic: [ASI02])')
  return wrong.length === 0 ? [] : [at(one, 'CP1102', `the METADATA lacks ${wrong.join(', ')}`)]
}

function unknownControls(one: Declared, known: ReadonlyMap<string, ReadonlySet<string>>): LintFinding[] {
  const frameworks = valueAt(one.annotation, 'custom.frameworks')
  return Object.keys(isRecord(frameworks) ? frameworks : {}).flatMap((name) => {
    const ids = known.get(name)
    if (ids === undefined)
      return [
        at(one, 'CP1104', `the framework ${name} is unknown and comes out in no decision: use one of ${[...known.keys()].join(', ')}`),
      ]
    const strange = textsAt(frameworks, name).filter((id) => !ids.has(id))
    return strange.map((id) =>
      at(one, 'CP1104', `${id} is no id of ${name} that was checked: correct it, or leave it out (rego/controls.json)`),
    )
  })
}

function unknownFacts(one: Declared, schemas: FactSchemas): LintFinding[] {
  const strange = textsAt(one.annotation, 'custom.facts').filter((fact) => !schemas.knows(fact, one.source.package))
  const found = strange.map((fact) => at(one, 'CP1105', `the fact ${fact} is in no schema of the input: correct it`))
  for (const fact of textsAt(one.annotation, 'custom.requires'))
    if (!schemas.knows(fact, one.source.package))
      found.push(at(one, 'CP1105', `the fact ${fact} that it requires is in no schema of the input: correct it`))
  const setting = textAt(one.annotation, 'custom.setting')
  if (setting !== '' && !schemas.knowsSetting(setting)) found.push(at(one, 'CP1105', `there is no setting ${setting}: see decide.settings`))
  return found
}

/** Whoever adds to a set that decides speaks with an annotation, and does what that says. */
function checkUse(sources: readonly RegoSource[], declared: readonly Declared[]): LintFinding[] {
  const found: LintFinding[] = []
  const uses = new Map<Declared, Set<string>>()
  for (const source of sources.filter(({ isTest }) => !isTest)) {
    for (const rule of source.rules.filter(({ name, adds }) => adds && Object.hasOwn(effects, name))) {
      const { names, open } = mentioned(rule)
      const spoken = declared.filter((one) => one.source.package === source.package && (one.rule === rule || names.has(one.rule.name)))
      // an obligation names its rule itself, so that its rule is described is enough
      const described = rule.name === 'obligations' && rule.annotations.length > 0
      if (spoken.length === 0 && !described) {
        const what = `the rule adds to ${rule.name} without an id: put METADATA on a constant, _x := rego.metadata.rule(), and speak with lib.finding(_x, …)`
        found.push(finding('CP1101', source.file, rule.line, what))
      }
      for (const one of spoken) uses.set(one, new Set([...(uses.get(one) ?? []), effects[rule.name] ?? '', ...(open ? ['any'] : [])]))
    }
  }
  for (const [one, done] of uses) {
    const effect = textAt(one.annotation, 'custom.effect')
    if (!done.has('any') && !done.has(effect) && Object.values(effects).includes(effect))
      found.push(at(one, 'CP1106', `${one.id} says effect ${effect} and does ${[...done].join(', ')}: make them agree`))
  }
  return [...found, ...neverWaiting(declared, uses)]
}

/** A rule that needs a fact says so in `defer`: without that a fact that is not there is no different from one that is false. */
function neverWaiting(declared: readonly Declared[], uses: ReadonlyMap<Declared, ReadonlySet<string>>): LintFinding[] {
  return declared
    .filter((one) => textsAt(one.annotation, 'custom.requires').length > 0 && uses.get(one)?.has('defer') !== true)
    .map((one) => at(one, 'CP1107', `${one.id} requires facts and never waits for them: add to defer what lib.missing finds`))
}

/** Names that a rule mentions, and whether a setting chooses its effect (`lib.finding_as`). */
function mentioned({ node }: RegoRule): { readonly names: ReadonlySet<string>; readonly open: boolean } {
  const names = new Set<string>()
  let open = false
  visit(node, (one) => {
    if (one['type'] === 'var') names.add(textAt(one, 'value'))
    if (refName(one).endsWith('finding_as')) open = true
  })
  return { names, open }
}

function at({ source, rule }: Declared, code: Parameters<typeof finding>[0], message: string): LintFinding {
  return finding(code, source.file, rule.line, message)
}
