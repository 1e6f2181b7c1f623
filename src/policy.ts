/** The policy of a configuration: where it comes from, what it is verified with, and where the last good one is kept. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { usualMaxAge, usualPoll, type BundleConfig } from './config/bundle.ts'
import type { Loaded } from './config/load.ts'
import { policyData } from './config/policy-data.ts'
import { stampOf } from './config/stamp.ts'
import { readKey, type Verification } from './decide/bundle/key.ts'
import type { Engine } from './decide/engine.ts'
import { openPolicyApart, type PolicyOptions } from './decide/module.ts'
import { readApart } from './decide/source/apart.ts'
import { Feed, type FeedOptions } from './decide/source/feed.ts'
import { urlSource } from './decide/source/http.ts'
import { Keep } from './decide/source/keep.ts'
import { pathSource } from './decide/source/path.ts'
import type { BundleSource } from './decide/source/source.ts'
import type { Foundation } from './foundation.ts'
import type { UpstreamIdentity } from './forward/svid.ts'
import { bundleServer } from './policy-server.ts'

/** A source at work, and what it was opened with. */
export interface PolicyFeed {
  /** Changes with everything that the feed rests on, the content of key files included. */
  readonly rests: string
  readonly feed: Feed
}

/** The default policy, compiled from rego/ and shipped with the package. */
const shipped = fileURLToPath(new URL('../rego/policy.tar.gz', import.meta.url))

/**
 * Opens the source that a configuration names; nothing is read of it yet. `previous` is given back when nothing that it rests on has
 * changed. `identity` is asked for each connection with `tls: svid`. Throws BundleFault when a key cannot be used.
 */
export function openFeed(
  loaded: Loaded,
  on: Pick<Foundation, 'clock' | 'log' | 'env' | 'policy' | 'watchdog'> & Partial<Pick<Foundation, 'measured'>>,
  identity: () => UpstreamIdentity | null,
  previous: PolicyFeed | null,
): PolicyFeed {
  const { bundle } = loaded.config.decide
  const rests = restsOn(loaded)
  if (previous !== null && previous.rests === rests) return previous
  const { clock, log, policy: inForce } = on
  const open: FeedOptions['open'] = async (read, trial) => {
    const host = await openPolicyApart(read, hostOptions(loaded, on), trial)
    tellUnjudged(host, loaded, log)
    return host
  }
  const base = { inForce, clock, log, made: madeWith(loaded), open }
  if (bundle === undefined) {
    const source = pathSource({ kind: 'shipped', path: shipped, stamp: stampOf, poll: null })
    return { rests, feed: new Feed({ ...base, source, verification: () => null, keep: null, maxAge: null, signedWithin: null }) }
  }
  const verification = verifying(bundle, loaded.folder)
  verification()
  const options: FeedOptions = {
    ...base,
    source: sourceOf(bundle, loaded, on, identity),
    verification,
    keep: keepOf(bundle, loaded),
    maxAge: bundle.url === undefined ? null : (bundle.max_age ?? usualMaxAge),
    signedWithin: bundle.signed_within ?? null,
    ...(bundle.url === undefined ? {} : { read: readApart }),
  }
  return { rests, feed: new Feed(options) }
}

function sourceOf(
  bundle: BundleConfig,
  { folder }: Loaded,
  { clock, env }: Pick<Foundation, 'clock' | 'env'>,
  identity: () => UpstreamIdentity | null,
): BundleSource {
  const { url, path = '', poll } = bundle
  if (url === undefined) return pathSource({ kind: 'path', path: resolve(folder, path), stamp: stampOf, poll: poll ?? usualPoll.path })
  const ask = bundleServer({ bundle, folder, env, identity, clock })
  return urlSource({ url, ask, poll: poll ?? usualPoll.url, longPoll: bundle.long_poll ?? null })
}

/**
 * Where the last good bundle of a configuration is kept, named by what was configured: two sources never take up each other's bundle,
 * nor does one a scope that it was not asked for.
 */
export function keepOf({ url, path = '', scope, persist }: BundleConfig, { config, folder }: Loaded): Keep {
  const place = resolve(folder, persist ?? join(dirname(config.task.state.path), 'policy'))
  return new Keep(place, JSON.stringify({ ...(url === undefined ? { path: resolve(folder, path) } : { url }), scope: scope ?? null }))
}

/** Keys are read anew each time: one that was replaced counts for the next bundle. A single key verifies whatever a signature calls it. */
function verifying({ key, keys, scope: asked }: BundleConfig, folder: string): () => Verification | null {
  const scope = asked ?? null
  const read = (file: string): string => readFileSync(resolve(folder, file), 'utf8')
  if (key !== undefined) {
    return () => {
      const one = readKey({ id: key.file, text: read(key.file), algorithm: key.algorithm ?? null, scope: null })
      return { keys: [one], keyId: one.id, scope }
    }
  }
  const named = Object.entries(keys ?? {})
  if (named.length === 0) return () => null
  return () => ({
    keys: named.map(([id, { file, algorithm, scope: own }]) =>
      readKey({ id, text: read(file), algorithm: algorithm ?? null, scope: own ?? null }),
    ),
    keyId: null,
    scope,
  })
}

/** Tools that want their answers judged by a policy that cannot: they pass unjudged, and the operator is to know. */
export function tellUnjudged(host: Pick<Engine, 'answers' | 'revision'>, { config }: Loaded, log: Foundation['log']): void {
  if (host.answers('countersign/response')) return
  const tools = Object.values(config.forward.routes).flatMap((route) => route.tools.filter(({ answer }) => answer !== undefined))
  if (tools.length === 0) return
  const named = { revision: host.revision, tools: tools.map(({ name }) => name) }
  log.warn({ code: 'CS1714', ...named }, 'answers are to be judged, and the policy has no entrypoint countersign/response')
}

/** What an engine is opened with: once for each bundle, for settings that depend on the time. */
function hostOptions(
  { config: { decide } }: Loaded,
  { clock, log, watchdog, measured }: Pick<Foundation, 'clock' | 'log' | 'watchdog'> & Partial<Pick<Foundation, 'measured'>>,
): PolicyOptions {
  const evaluated = { budgetMs: decide.evaluation.budget, watch: watchdog.watch, ...(measured && { measured }) }
  return { clock, log, ...evaluated, ...(decide.settings === undefined ? {} : { settings: policyData(decide.settings, clock()) }) }
}

/** What an engine is made of besides its bundle: the settings that `hostOptions` takes of the configuration. */
function madeWith({ config: { decide } }: Loaded): string {
  return JSON.stringify([decide.evaluation.budget, decide.settings ?? null])
}

function restsOn(loaded: Loaded): string {
  const { config, folder } = loaded
  const { bundle } = config.decide
  const files = [bundle?.key?.file ?? [], Object.values(bundle?.keys ?? {}).map(({ file }) => file)].flat()
  // the secret of an HMAC is among them
  const read = files.map((file) => hash('sha256', readFileSync(resolve(folder, file))))
  return JSON.stringify([madeWith(loaded), bundle ?? null, bundle === undefined ? null : [folder, config.task.state.path], read])
}
