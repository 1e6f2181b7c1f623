import { isMap, isSeq, parseAllDocuments, visit, type Document } from 'yaml'
import { planInjection, type Operation } from './plan.ts'
import type { InjectSettings } from './settings.ts'
import { asked, injectLabel } from './wishes.ts'

/** Manifests as files: what the webhook does, done ahead. Comments and the order of members stay. */

export interface Injected {
  /** The manifests, changed where something runs pods. */
  readonly text: string
  /** One a workload: `Deployment refund-agent`. */
  readonly done: readonly string[]
  /** Workloads that had everything, or are labelled `disabled`. */
  readonly left: readonly string[]
  readonly warnings: readonly string[]
  /** Why some of it cannot be done; then the text is not to be used. */
  readonly refused: readonly string[]
}

/** Where a kind keeps its pod. */
const templates: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  PodTemplate: ['template'],
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  ReplicationController: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
}

type Path = readonly (string | number)[]

/** Puts the sidecar into everything that runs pods, but for what is labelled `disabled`. Throws an Error for text that is no YAML. */
export function injectDocuments(text: string, settings: InjectSettings): Injected {
  const documents = parseAllDocuments(text, { strict: true, uniqueKeys: true })
  if (!Array.isArray(documents)) return { text, done: [], left: [], warnings: [], refused: [] }
  const fault = documents.flatMap(({ errors }) => errors)[0]
  if (fault !== undefined) throw new Error(fault.message.split('\n', 1)[0])
  const found = { done: [] as string[], left: [] as string[], warnings: [] as string[], refused: [] as string[] }
  for (const document of documents) for (const path of workloadsOf(document)) inject(document, path, settings, found)
  return { ...found, text: documents.map((document) => document.toString({ lineWidth: 0 })).join('') }
}

type Found = Record<'done' | 'left' | 'warnings' | 'refused', string[]>

function inject(document: Document.Parsed, path: Path, settings: InjectSettings, found: Found): void {
  const kind = textAt(document, [...path, 'kind'])
  const given = textAt(document, [...path, 'metadata', 'name'])
  const name = `${kind} ${given === '' ? textAt(document, [...path, 'metadata', 'generateName']) : given}`
  if (hasAlias(document)) {
    found.refused.push(`${name}: it is written with YAML aliases: a change would reach other places too. Write them out first`)
    return
  }
  const at = [...path, ...(templates[kind] ?? [])]
  const labels = [path, at].map((place) => textAt(document, [...place, 'metadata', 'labels', injectLabel])).filter((label) => label !== '')
  const wrong = labels.map((label) => asked(label)).find((answer) => typeof answer === 'string')
  if (wrong !== undefined) found.refused.push(`${name}: ${wrong}`)
  else if (labels.includes('disabled')) found.left.push(name)
  else {
    const plan = planInjection(valueAt(document, at), settings)
    if (plan.refused) return void found.refused.push(...plan.reasons.map((reason) => `${name}: ${reason}`))
    for (const operation of plan.operations) apply(document, at, operation)
    found.warnings.push(...plan.warnings.map((warning) => `${name}: ${warning}`))
    found[plan.operations.length === 0 ? 'left' : 'done'].push(name)
  }
}

function workloadsOf(document: Document.Parsed): Path[] {
  const kind = textAt(document, ['kind'])
  if (!kind.endsWith('List')) return Object.hasOwn(templates, kind) ? [[]] : []
  const items = document.getIn(['items'])
  if (!isSeq(items)) return []
  return items.items.flatMap((_item, at) => (Object.hasOwn(templates, textAt(document, ['items', at, 'kind'])) ? [['items', at]] : []))
}

function hasAlias(document: Document.Parsed): boolean {
  let found = false
  visit(document, {
    Alias: () => {
      found = true
      return visit.BREAK
    },
  })
  return found
}

/** Empty when there is no text. */
function textAt(document: Document.Parsed, path: Path): string {
  const value = document.getIn(path)
  return typeof value === 'string' ? value : ''
}

function valueAt(document: Document.Parsed, path: Path): unknown {
  const node = path.length === 0 ? document.contents : document.getIn(path, true)
  return isMap(node) || isSeq(node) ? node.toJS(document) : null
}

/** One step of a patch, on the nodes of the document: an insertion where the path ends in a place of a list. */
function apply(document: Document.Parsed, at: Path, { path, value }: Operation): void {
  const steps = path
    .slice(1)
    .split('/')
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step))
  const last = steps.at(-1)
  const list = document.getIn([...at, ...steps.slice(0, -1)], true)
  if (isSeq(list) && typeof last === 'number') {
    if (list.items.length === 0) list.flow = false
    list.items.splice(last, 0, document.createNode(value))
  } else document.setIn([...at, ...steps], document.createNode(value))
}
