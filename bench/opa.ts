/** Envoy that proves callers (jwt_authn) and asks OPA about every call (ext_authz), both on the core of the proxy. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { program, runEnvoy, type Setting } from './programs.ts'
import { freePort, startOnPath } from './started.ts'
import { fill, root, type Target } from './targets.ts'

export type EnvoyOpa = 'envoy + opa' | 'envoy + opa no-op'

/** OPA's garbage collector is told to run an eighth as often: of what it can be told that has helped most. */
const collector = { GOGC: '800' }

/**
 * OPA with the modules of rego/ and its decision log, or with a policy that allows everything and no log. Null without Envoy, or
 * without the program that asks OPA.
 */
export async function startEnvoyOpa(setting: Setting, name: EnvoyOpa): Promise<Target | null> {
  const { bench, upstream, callers, inputs } = setting
  const binary = program('ext-authz')
  if (binary === null || program('envoy') === null) return null
  const folder = folderOf(bench.folder, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'jwks.json'), callers.jwks)
  writeFileSync(join(folder, 'facts.json'), JSON.stringify(inputs))
  const judging = name === 'envoy + opa'
  const policy = judging ? join(root, 'rego/countersign') : join(root, 'bench/peers/noop.rego')
  const words = ['-socket', join(folder, 'opa.sock'), '-facts', join(folder, 'facts.json'), '-policy', policy, '-credential', credential]
  const log = judging ? ['-log', logOf(bench.folder)] : []
  const opa = await startOnPath(
    bench,
    `${name} ext-authz`,
    bench.proxyCore,
    join(folder, 'opa.sock'),
    [binary, ...words, ...log],
    collector,
  )
  const port = await freePort()
  const conf = fill({ ...bench, folder }, 'envoy-opa.yaml', { PORT: port, UPSTREAM: upstream })
  const envoy = await runEnvoy(bench, name, port, conf)
  if (envoy === null) return null
  return { name, processes: [envoy, opa], port, judges: true, lends: true }
}

/** What peers with a static key put in place of the token: as long as one of Countersign's own leases, which is a signed token. */
export const credential = 'k'.repeat(640)

/** The decision log of the OPA that judges. */
export function logOf(folder: string): string {
  return join(folderOf(folder, 'envoy + opa'), 'decisions.log')
}

function folderOf(folder: string, name: EnvoyOpa): string {
  return join(folder, name.replaceAll(/[^a-z]+/g, '-'))
}
