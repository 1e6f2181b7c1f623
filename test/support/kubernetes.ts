import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { env } from 'node:process'
import { parseAllDocuments } from 'yaml'

const root = join(import.meta.dirname, '../..')
const own = (name: string): string => join(root, '.engines/bin', name)
const validator = join(root, '.engines/kubernetes-validate')

/** The versions that manifests are held to: native sidecars came with the first. */
export const versions = Array.from({ length: 9 }, (_, at) => `1.${29 + at}`)

/** Where a program is, in `.engines/bin` or on the PATH; null when it is not there. */
export function programOf(name: string, ...asked: readonly string[]): string | null {
  if (existsSync(own(name))) return own(name)
  return spawnSync(name, asked, { stdio: 'ignore' }).error === undefined ? name : null
}

export const kubectl = programOf('kubectl', 'version', '--client')
export const validates = existsSync(validator) && spawnSync('python3', ['--version']).error === undefined

/** Kubernetes objects of a kustomization below deploy/kubernetes, as `kubectl kustomize` renders them. */
export function rendered(layout: string): unknown[] {
  const text = execFileSync(kubectl ?? 'kubectl', ['kustomize', join(root, 'deploy/kubernetes', layout)], { encoding: 'utf8' })
  return objectsOf(text)
}

export function objectsOf(yaml: string): unknown[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const value: unknown = document.toJS()
    return value === null ? [] : [value]
  })
}

/**
 * What `kubernetes-validate` has against the objects, strictly, for each of the versions: one line a fault, empty when there is none.
 * Kinds that Kubernetes itself does not have are passed over.
 */
export function faultsOf(objects: readonly unknown[]): string[] {
  const program = `
import json, sys, kubernetes_validate
given = json.load(sys.stdin)
for version in given["versions"]:
    for each in given["objects"]:
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            print(version, each["kind"], each["metadata"]["name"], ".".join(str(part) for part in fault.path), fault.message)
`
  const known = objects.filter((each) => !/^(cilium\.io|cert-manager\.io)\//.test(String((each as { apiVersion?: unknown }).apiVersion)))
  const told = execFileSync('python3', ['-W', 'ignore', '-c', program], {
    input: JSON.stringify({ versions, objects: known }),
    env: { ...env, PYTHONPATH: validator },
    encoding: 'utf8',
  })
  return told.split('\n').filter(Boolean)
}
