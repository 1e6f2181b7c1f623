/** Facts of a task as the file has them: one JSON text, and what is made of it again. */
import { Course, type KeptCourse } from '../task/divergence.ts'
import { Counts, firstFacts, Repeats, type Past } from '../task/sequence.ts'
import { anywhere, Trail, type KeptSource } from '../task/trail.ts'
import type { Divergence } from './facts.ts'
import type { TaskFacts } from './state.ts'

/** Of the distinct calls and resources, how many are written. */
const keptRepeats = 16
const keptResources = 8

type Distinct = [name: string, times: number][]

interface KeptFacts extends Omit<TaskFacts, 'repeats' | 'resources' | 'hosts' | 'divergence' | 'sources'> {
  readonly sources: Readonly<Record<string, KeptSource>>
  readonly hosts: Readonly<Record<string, number>>
  readonly resources: Distinct
  readonly repeats: Distinct
  readonly divergence: Divergence['reasons']
  readonly course: KeptCourse
}

/** A file may be from before there were some of its members. */
type Read = Pick<KeptFacts, 'counts' | 'repeats' | 'step'> &
  Partial<Omit<KeptFacts, 'hosts'>> & { readonly hosts?: KeptFacts['hosts'] | readonly string[] }

/** What is written of a task. */
export function keep(facts: TaskFacts, { hosts, resources, repeats, course }: Past): string {
  // plain objects are written out several times faster than the live records, which have no prototype
  const kept: KeptFacts = {
    ...facts,
    counts: { ...facts.counts },
    steps: { ...facts.steps },
    sources: { ...facts.sources },
    hosts: { ...hosts.record },
    resources: resources.latest(keptResources),
    repeats: repeats.latest(keptRepeats),
    divergence: course.reasons,
    course: course.kept(),
  }
  return JSON.stringify(kept)
}

/** The facts of what was written, or of a task that made no call. */
export function restore(text: unknown): { readonly past: Past; readonly facts: TaskFacts } {
  const kept = typeof text === 'string' ? (JSON.parse(text) as Read) : null
  const counts = new Counts(kept?.counts)
  const past: Past = {
    counts,
    hosts: Counts.ofHosts(hostsOf(kept?.hosts)),
    resources: new Repeats(kept?.resources),
    repeats: new Repeats(kept?.repeats),
    trail: new Trail(kept?.steps ?? anywhere(counts.record, kept?.step ?? 0), kept?.sources),
    course: new Course(kept?.divergence, kept?.course),
  }
  const first = firstFacts(past)
  if (kept === null) return { past, facts: first }
  const { course: _, ...plain } = kept
  const { steps, sources, hosts, resources, repeats, divergence } = first
  return { past, facts: { ...first, ...plain, counts: counts.record, steps, sources, hosts, resources, repeats, divergence } }
}

/** Once their names alone were written. */
function hostsOf(kept: Read['hosts']): Readonly<Record<string, number>> | undefined {
  return isNames(kept) ? Object.fromEntries(kept.map((host) => [host, 1])) : kept
}

function isNames(kept: Read['hosts']): kept is readonly string[] {
  return Array.isArray(kept)
}
