/** `sequence` of the policy input: what the task did so far, and what of it the call at hand repeats or is the first of. */

import type { DivergenceReason } from '../state/facts.ts'
import type { Source, Span, Step, TaskFacts } from '../state/state.ts'
import type { Question } from './decide.ts'
import { number, numbers, onePiece, text, texts, Members, type Cap } from './fragment.ts'
import { repeatDigest } from './repeat.ts'
import type { Adding, SumsOf } from './sums.ts'
import type { Seen } from './input.ts'

const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  classes: operator(64, 'a list of data classes'),
  counts: operator(65, 'the counts of a task'),
  denials: operator(17, 'the denials of a task'),
  resource: { most: 4096, what: 'the resource', fault: 'agent' },
  meter: operator(256, 'a meter'),
} as const satisfies Record<string, Cap>

const mostSteps = 5
const mostCounts = 64

export function sequenceText(question: Question, seen: Pick<Seen, 'facts' | 'now'>, sums?: SumsOf): string {
  const { now } = seen
  const { task: facts } = seen.facts
  let last = ''
  for (const step of facts.last.slice(-mostSteps)) last += `${last === '' ? '' : ','}${stepText(step, now)}`
  return (
    `{"step":${number(facts.step, 'step')},"last":[${last}],${toolsText(facts, question.target.tool.name)}` +
    `,"taint":${texts(facts.sensitivity, caps.classes, caps.name)},"sources":${sourcesText(facts.sources, now)},"brought":${texts(facts.brought, caps.classes, caps.name)}` +
    `,"hosts":${facts.hosts.size},"seen":${seenText(question, facts)},"repeats":${facts.repeats[repeatDigest(question)] ?? 0},"sums":${sums === undefined ? '[]' : sumsText(sums(question.target, seen.facts), seen)}` +
    `,"failures":${number(facts.failures, 'failures')},"denials":${numbers(facts.denials, caps.denials, caps.name)},"diverged":${facts.diverged}` +
    `,"divergence":${divergenceText(facts.divergence)}}`
  )
}

/** How often this task has called what the call at hand calls. */
function seenText({ target: { tool, route, resource } }: Question, { counts, hosts, resources, sources }: TaskFacts): string {
  let least: number | null = null
  for (const name of tool.reads)
    if (name !== 'public') least = Math.min(least ?? Infinity, Object.hasOwn(sources, name) ? (sources[name]?.reads ?? 0) : 0)
  const touched = resource === null ? null : timesOf(resources, resource)
  return `{"tool":${timesOf(counts, tool.name)},"host":${hosts.times(route.to.authority)},"resource":${touched},"class":${least}}`
}

function timesOf(record: Readonly<Record<string, number>>, name: string): number {
  return Object.hasOwn(record, name) ? (record[name] ?? 0) : 0
}

/** What the caller spent and sent lately of that which the call at hand spends and sends. */
function sumsText(adding: Adding, { facts: { caller }, now }: Pick<Seen, 'facts' | 'now'>): string {
  if (adding.length === 0) return '[]'
  const rows = adding.map(([key, amount]) => {
    const { hour, day } = caller.sums?.of(key, now) ?? nothing
    const resource = key.resource === null ? 'null' : text(key.resource, caps.resource)
    return (
      `{"kind":"${key.kind}","name":${text(key.name, caps.meter)},"resource":${resource}` +
      `,"amount":${amount === null ? 'null' : number(amount, 'amount')},"hour":${number(hour, 'hour')},"day":${number(day, 'day')}}`
    )
  })
  return `[${rows.join(',')}]`
}

const nothing = { hour: 0, day: 0 }

/** Reasons → the whole text: a list is replaced when the score grows. */
const divergences = new WeakMap<readonly DivergenceReason[], string>()

export function divergenceText({ score, reasons }: TaskFacts['divergence']): string {
  if (reasons.length === 0) return '{"score":0,"reasons":[]}'
  let known = divergences.get(reasons)
  if (known === undefined) {
    const rows = reasons.map(({ kind, count, points }) => `{"kind":"${kind}","count":${count},"points":${points}}`)
    divergences.set(reasons, (known = onePiece(`{"score":${score},"reasons":[${rows.join(',')}]}`)))
  }
  return known
}

function stepText(step: Step, now: number): string {
  let known = stepTexts.get(step.tool)
  if (known === undefined || known.effect !== step.effect || known.egress !== step.egress) known = rememberStep(step)
  return `${known.text},"ago":${number(Math.max(0, now - step.at), 'ago')}}`
}

/** Tool → what a step of it is, but for its age: a call shows five steps, mostly of the same few tools. Written by `rememberStep`. */
const stepTexts = new Map<string, { readonly effect: string; readonly egress: string; readonly text: string }>()
const mostKinds = 1024

function rememberStep({ tool, effect, egress }: Step): { readonly effect: string; readonly egress: string; readonly text: string } {
  const members = `{"tool":${text(tool, caps.name)},"effect":${text(effect, caps.name)},"egress":${text(egress, caps.name)}`
  const known = { effect, egress, text: onePiece(members) }
  if (stepTexts.size >= mostKinds) stepTexts.clear()
  stepTexts.set(tool, known)
  return known
}

/** `counts` and `steps`. The tool at hand is always there; past the cap the rest stands together under `*`. */
function toolsText(facts: TaskFacts, tool: string): string {
  const counts = new Members(caps.counts)
  let steps = ''
  if (Object.hasOwn(facts.counts, tool)) steps = stepsText(facts, tool, counts)
  let names = 1
  let rest = 0
  let first = Infinity
  let last = 0
  for (const name in facts.counts) {
    if (name === tool) continue
    if (name !== '*' && names++ < mostCounts) steps += `${steps === '' ? '' : ','}${stepsText(facts, name, counts)}`
    else {
      const [from, to] = spanOf(facts, name)
      rest += facts.counts[name] ?? 0
      first = Math.min(first, from)
      last = Math.max(last, to)
    }
  }
  if (rest > 0) {
    counts.add('*', number(rest, 'count'), caps.name)
    steps += `${steps === '' ? '' : ','}"*":[${first},${last}]`
  }
  return `"counts":${counts.end()},"steps":{${steps}}`
}

/** Adds a tool to the counts, which refuse one that is there, and gives its member of `steps`. */
function stepsText(facts: TaskFacts, name: string, counts: Members): string {
  counts.add(name, number(facts.counts[name] ?? 0, 'count'), caps.name)
  const [first, last] = spanOf(facts, name)
  return `${text(name, caps.name)}:[${first},${last}]`
}

/** A tool whose steps nobody kept may have been called at any of them. */
function spanOf({ steps, step }: TaskFacts, name: string): Span {
  return steps[name] ?? [1, step]
}

/** Data class → its latest read in this task. */
export function sourcesText(sources: Readonly<Record<string, Source>>, now: number): string {
  let members: Members | null = null
  for (const name in sources) {
    const source = sources[name]
    if (source === undefined) continue
    const { tool, at, step, only, reads } = source
    const ago = number(Math.max(0, now - at), 'ago')
    members ??= new Members(caps.classes)
    members.add(
      name,
      `{"tool":${text(tool, caps.name)},"ago":${ago},"step":${number(step, 'step')},"only":${only},"reads":${reads}}`,
      caps.name,
    )
  }
  return members === null ? '{}' : members.end()
}
