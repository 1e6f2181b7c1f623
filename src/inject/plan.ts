import { covers } from './covers.ts'
import { hindrances } from './hindrances.ts'
import { isNativeSidecar, readPod, type Container, type Pod } from './pod.ts'
import { basesOf, keysOf, placeholderKey, type Variable } from './sdks.ts'
import type { InjectSettings } from './settings.ts'
import { names, sidecarContainer, tokenMount, tokenVariable, volumes } from './sidecar.ts'
import { wishesOf, type Wishes } from './wishes.ts'

/** A step of a JSON Patch (RFC 6902), relative to the pod. */
export interface Operation {
  readonly op: 'add' | 'replace'
  readonly path: string
  readonly value: unknown
}

/** What has to be done to a pod, or why nothing can be. */
export type Plan =
  | {
      readonly refused: false
      /** In order; empty when the pod has everything already. */
      readonly operations: readonly Operation[]
      /** What works, and does not help: for whoever applies the pod. */
      readonly warnings: readonly string[]
    }
  | { readonly refused: true; readonly reasons: readonly string[] }

/** Plans the sidecar into a pod or a pod template. What is there already as it should be is left alone, so a second time is no change. */
export function planInjection(given: unknown, settings: InjectSettings): Plan {
  const pod = readPod(given)
  if (typeof pod === 'string') return { refused: true, reasons: [pod] }
  const draft = new Draft(pod)
  draft.reasons.push(...hindrances(pod, settings))
  const wishes = wishesOf(pod, settings, draft.reasons)
  addSidecar(draft, settings)
  for (const volume of volumes(settings, wishes.config))
    if (!bringsState(pod, volume.name)) draft.ensure('/spec/volumes', pod.spec.volumes ?? null, volume, 'volume')
  if ((pod.spec.terminationGracePeriodSeconds ?? 0) < settings.grace)
    draft.set('/spec/terminationGracePeriodSeconds', pod.spec.terminationGracePeriodSeconds ?? null, settings.grace)
  for (const [at, container] of pod.spec.containers.entries())
    if (wishes.containers === null ? container.name !== names.container : wishes.containers.includes(container.name))
      point(draft, { container, path: `/spec/containers/${at}`, wishes, settings })
  const { reasons, operations, warnings } = draft
  return reasons.length > 0 ? { refused: true, reasons } : { refused: false, operations, warnings }
}

/** Whether the pod has a disk of its own for state and ledger: then they outlive it. */
function bringsState({ spec }: Pod, name: string): boolean {
  const there = name === names.state ? spec.volumes?.find((volume) => volume.name === name) : undefined
  return there?.['persistentVolumeClaim'] !== undefined || there?.['ephemeral'] !== undefined
}

interface Named {
  readonly name: string
}

/** The patch as it grows. Mutable: owned by one call of `planInjection`. */
class Draft {
  readonly operations: Operation[] = []
  readonly reasons: string[] = []
  readonly warnings: string[] = []
  readonly pod: Pod
  /** Path of a list → how many it will have had by then. */
  readonly #lengths = new Map<string, number>()

  constructor(pod: Pod) {
    this.pod = pod
  }

  /** Adds an element that its list does not have by name; one of that name has to be the same. */
  ensure(path: string, list: readonly Named[] | null, wanted: Named, what: string): void {
    const there = list?.find(({ name }) => name === wanted.name)
    if (there === undefined) this.insert(path, list, wanted)
    else if (!covers(there, wanted))
      this.reasons.push(`it has a ${what} "${wanted.name}" of its own, which is not the injector's: rename it`)
  }

  /** `at`: by default the end. */
  insert(path: string, list: readonly Named[] | null, value: Named, at: number | null = null): void {
    const length = this.#lengths.get(path) ?? list?.length ?? 0
    if (list === null && !this.#lengths.has(path)) this.operations.push({ op: 'add', path, value: [] })
    this.operations.push({ op: 'add', path: `${path}/${at ?? length}`, value })
    this.#lengths.set(path, length + 1)
  }

  set(path: string, before: unknown, value: unknown): void {
    this.operations.push({ op: before === null ? 'add' : 'replace', path, value })
  }
}

/** First of all, or behind the native sidecars that the pod has: a mesh has to be up before anything is reached. */
function addSidecar(draft: Draft, settings: InjectSettings): void {
  const list = draft.pod.spec.initContainers ?? null
  const wanted = sidecarContainer(settings)
  const there = list?.find(({ name }) => name === wanted.name)
  if (there === undefined) {
    draft.insert('/spec/initContainers', list, wanted, (list?.findLastIndex(isNativeSidecar) ?? -1) + 1)
    return
  }
  // whoever sizes containers may have changed what it gets
  const identity = Object.entries(wanted).filter(([key]) => key !== 'resources')
  const differing = identity.flatMap(([key, value]) => (covers(there[key], value) ? [] : [key]))
  if (there['command'] !== undefined) differing.push('command')
  if (differing.length === 0) return
  draft.reasons.push(
    `its init container "${wanted.name}" is not the injector's (${differing.join(', ')}): take it out, or let it be as \`countersign inject\` makes it`,
  )
}

interface Agent {
  readonly container: Container
  readonly path: string
  readonly wishes: Wishes
  readonly settings: InjectSettings
}

/** Points one container at the sidecar. */
function point(draft: Draft, { container, path, wishes, settings }: Agent): void {
  const bases: Variable[] = []
  const keys = new Set<string>()
  for (const [sdk, prefix] of Object.entries(wishes.sdks)) {
    bases.push(...basesOf(sdk, `http://127.0.0.1:${settings.agent_port}${prefix}`))
    for (const key of keysOf(sdk)) keys.add(key)
  }
  const env = container.env ?? null
  for (const variable of settings.token === undefined ? bases : [...bases, tokenVariable]) {
    const there = env?.find(({ name }) => name === variable.name)
    if (there === undefined) draft.insert(`${path}/env`, env, variable)
    else if (there.value !== variable.value)
      draft.reasons.push(
        `the container ${container.name} sets ${variable.name} itself: take it out there, or name other SDKs in countersign/sdks`,
      )
  }
  for (const name of keys) if (!env?.some((each) => each.name === name)) draft.insert(`${path}/env`, env, { name, ...placeholder })
  if (settings.token !== undefined) draft.ensure(`${path}/volumeMounts`, container.volumeMounts ?? null, tokenMount, 'mount')
  draft.warnings.push(...ownCredentials(container, keys))
}

const placeholder = { value: placeholderKey }

/** A credential that the agent holds itself is one that Countersign has no say in. */
function ownCredentials({ name, env, envFrom }: Container, keys: ReadonlySet<string>): string[] {
  const held = (env ?? []).filter(({ name: variable, value, valueFrom }) => {
    const secret = valueFrom !== null && valueFrom !== undefined && 'secretKeyRef' in valueFrom
    return secret || (keys.has(variable) && value !== placeholderKey)
  })
  const sources = (envFrom ?? []).flatMap(({ secretRef }) =>
    secretRef === null || secretRef === undefined ? [] : [`all of Secret ${secretRef.name ?? ''}`],
  )
  const all = [...held.map(({ name: variable }) => variable), ...sources]
  return all.length === 0
    ? []
    : [`the container ${name} holds ${all.join(', ')}: with it, it needs no Countersign. Take credentials away from agents`]
}
