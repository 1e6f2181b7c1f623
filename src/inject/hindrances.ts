import { isNativeSidecar, type Container, type Pod, type PodSpec } from './pod.ts'
import type { InjectSettings } from './settings.ts'
import { names, ownVolumes, sidecarUser } from './sidecar.ts'

/** Capabilities with which a container reads the memory or the files of another. */
const reachingOver = ['ALL', 'SYS_PTRACE', 'SYS_ADMIN']

/** Why a pod cannot have a sidecar that means anything: each with what to do. Empty when nothing is in the way. */
export function hindrances({ spec }: Pod, settings: InjectSettings): string[] {
  const staying = [...spec.containers, ...(spec.initContainers ?? []).filter(isNativeSidecar)].filter(
    ({ name }) => name !== names.container,
  )
  return [...ofPod(spec), ...staying.flatMap((container) => [...ofContainer(container, spec), ...clashes(container, settings)])]
}

function ofPod(spec: PodSpec): string[] {
  const found: string[] = []
  if (spec.hostNetwork === true)
    found.push('it uses the network of its node (hostNetwork): the loopback there is open to everything on the node')
  if (spec.hostPID === true) found.push('it sees the processes of its node (hostPID), those of the sidecar too')
  if (spec.shareProcessNamespace === true)
    found.push('its containers see the processes of each other (shareProcessNamespace): set it to false')
  if (spec.os?.name === 'windows') found.push('it is for Windows nodes, for which there is no image')
  if (spec.containers.some(({ name }) => name === names.container))
    found.push(`it has an ordinary container "${names.container}", added by hand: take it out, or the label off`)
  return found
}

function ofContainer({ name, securityContext, volumeMounts }: Container, spec: PodSpec): string[] {
  const found: string[] = []
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser
  if (user === sidecarUser) found.push(`the container ${name} runs as user ${user}, which is the sidecar's: give it another`)
  if (securityContext?.privileged === true) found.push(`the container ${name} is privileged: it could read the memory of the sidecar`)
  const over = (securityContext?.capabilities?.add ?? []).filter((each) => reachingOver.includes(each.replace(/^CAP_/, '')))
  if (over.length > 0) found.push(`the container ${name} has ${over.join(', ')}: it could read the memory of the sidecar`)
  const mounted = (volumeMounts ?? []).filter((mount) => ownVolumes.includes(mount.name))
  for (const mount of mounted) found.push(`the container ${name} mounts ${mount.name}, which is for the sidecar alone`)
  return found
}

function clashes({ name, ports }: Container, settings: InjectSettings): string[] {
  const { agent_port: agent, admin_port: admin, health_port: health } = settings
  const taken = (ports ?? []).filter(({ containerPort }) => [agent, admin, health].includes(containerPort))
  return taken.map(
    ({ containerPort }) =>
      `the container ${name} has port ${containerPort}, which is Countersign's: let it listen elsewhere, or change the injector's settings`,
  )
}
