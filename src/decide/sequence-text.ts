/** `sequence` of the policy input: what the task did so far, and what of it the call at hand repeats or is the first of. */

import type { DivergenceReason } from '../state/facts.ts'
import type { Source, Span, Step, TaskFacts } from '../state/state.ts'
import type { Tool } from '../match/tools.ts'
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

/** `sequence` with a NUL for each piece. */
export const sequenceFrame =
  '{"step":\0,"last":\0,"counts":\0,"steps":\0,"taint":\0,"sources":\0,"brought":\0,"hosts":\0' +
  ',"seen":{"tool":\0,"host":\0,"resource":\0,"class":\0},"repeats":\0,"sums":\0,"failures":\0,"denials":\0,"diverged":\0,"divergence":\0}'

/** Where the pieces belong, in that order. */
export const sequencePlaces: readonly string[] = (
  'step last counts steps taint sources brought hosts seen.tool seen.host seen.resource seen.class' +
  ' repeats sums failures denials diverged divergence'
).split(' ')

export function sequencePieces(question: Question, seen: Pick<Seen, 'facts' | 'now'>, sums?: SumsOf): readonly string[] {
  const { target } = question
  const { now } = seen
  const { task: facts } = seen.facts
  const [counts, steps] = toolsText(facts, target.tool.name)
  const { tool, route, resource } = target
  return [
    number(facts.step, 'step'),
    lastText(facts.last, now),
    counts,
    steps,
    texts(facts.sensitivity, caps.classes, caps.name),
    sourcesText(facts.sources, now),
    texts(facts.brought, caps.classes, caps.name),
    String(facts.hosts.size),
    // how often this task has called what the call at hand calls
    String(timesOf(facts.counts, tool.name)),
    String(facts.hosts.times(route.to.authority)),
    resource === null ? 'null' : String(timesOf(facts.resources, resource)),
    String(leastRead(tool, facts)),
    String(facts.repeats[repeatDigest(question)] ?? 0),
    sums === undefined ? '[]' : sumsText(sums(target, seen.facts), seen),
    number(facts.failures, 'failures'),
    numbers(facts.denials, caps.denials, caps.name),
    String(facts.diverged),
    divergenceText(facts.divergence),
  ]
}

function lastText(last: readonly Step[], now: number): string {
  let steps = ''
  for (let at = Math.max(0, last.length - mostSteps); at < last.length; at++) {
    const step = last[at]
    if (step !== undefined) steps += `${steps === '' ? '' : ','}${stepText(step, now)}`
  }
  return `[${steps}]`
}

/** How often the class that was read least, of those that the tool reads, was read before; null when it reads none. */
function leastRead({ reads }: Tool, { sources }: TaskFacts): number | null {
  let least: number | null = null
  for (const name of reads)
    if (name !== 'public') least = Math.min(least ?? Infinity, Object.hasOwn(sources, name) ? (sources[name]?.reads ?? 0) : 0)
  return least
}

/** What every object inherits is no number. */
function timesOf(record: Readonly<Record<string, number>>, name: string): number {
  const times: unknown = record[name]
  return typeof times === 'number' ? times : 0
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

/** Counts and steps. The tool at hand is always there; past the cap the rest stands together under `*`. */
function toolsText(facts: TaskFacts, tool: string): readonly [counts: string, steps: string] {
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
  return [counts.end(), `{${steps}}`]
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
