import { isSdk } from './sdks.ts'
import { objectName, type InjectSettings } from './settings.ts'
import type { Pod } from './pod.ts'

/** What the labels and annotations of a pod ask for. */
export interface Wishes {
  /** The ConfigMap with countersign.yaml. */
  readonly config: string
  /** SDK → prefix of its route. */
  readonly sdks: Readonly<Record<string, string>>
  /** Names of the containers that are agents; null: every container that is none of ours. */
  readonly containers: readonly string[] | null
}

/** `countersign/inject`: on a pod, and on a namespace that requires it of all. */
export const injectLabel = 'countersign/inject'

const annotations = ['countersign/config', 'countersign/sdks', 'countersign/containers']

/** Whether the label asks for a sidecar; a text says what is wrong with it. */
export function asked(value: string | undefined): boolean | string {
  if (value === undefined || value === 'disabled') return false
  return value === 'enabled' || `the label ${injectLabel} is "${value}": it has to be enabled or disabled`
}

/** Adds to `reasons` what cannot be met. */
export function wishesOf({ metadata, spec }: Pod, settings: InjectSettings, reasons: string[]): Wishes {
  const given = metadata?.annotations ?? {}
  const unknown = Object.keys(given).filter((key) => key.startsWith('countersign/') && !annotations.includes(key))
  if (unknown.length > 0) reasons.push(`the annotation ${unknown.join(', ')} is unknown: there are ${annotations.join(', ')}`)
  const config = given['countersign/config'] ?? settings.config
  if (!objectName.safeParse(config).success) reasons.push(`the annotation countersign/config is "${config}": it has to name a ConfigMap`)
  const containers = listOf(given['countersign/containers'])
  const absent = containers?.filter((name) => !spec.containers.some((container) => container.name === name)) ?? []
  if (absent.length > 0) reasons.push(`the annotation countersign/containers names ${absent.join(', ')}, and the pod has no such container`)
  if (containers?.length === 0) reasons.push('the annotation countersign/containers names no container: leave it out for all of them')
  return { config, sdks: chosen(listOf(given['countersign/sdks']), settings.sdks, reasons), containers }
}

function chosen(wanted: readonly string[] | null, sdks: InjectSettings['sdks'], reasons: string[]): Wishes['sdks'] {
  if (wanted === null) return sdks
  const absent = wanted.filter((name) => !Object.hasOwn(sdks, name))
  for (const name of absent) {
    const why = isSdk(name) ? 'the settings of the injector name no route for it' : 'it is no SDK that is known'
    reasons.push(`the annotation countersign/sdks names ${name}: ${why}. They have ${Object.keys(sdks).join(', ') || 'none'}`)
  }
  return Object.fromEntries(Object.entries(sdks).filter(([name]) => wanted.includes(name)))
}

/** Null when it is not given; `none` or nothing is an empty list. */
function listOf(value: string | undefined): string[] | null {
  if (value === undefined) return null
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'none')
}
