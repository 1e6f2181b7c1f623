/** One source of policy at work in a folder of its own, on a clock that stands still until it is moved. */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../src/config/load.ts'
import { PolicyInForce, type Policy, type PolicyFault } from '../../src/decide/in-force.ts'
import { Watch } from '../../src/decide/watch.ts'
import type { UpstreamIdentity } from '../../src/forward/svid.ts'
import { openFeed, type PolicyFeed } from '../../src/policy.ts'
import { makeSigner, type Signer } from './bundle-signer.ts'
import { allowedInput, quietLog } from './policy-rig.ts'
import { audience, configText, routeTo, type Settings } from './running.ts'

/** What was told, in order. */
export type Told =
  | { readonly kind: 'changed'; readonly next: Policy; readonly before: Policy | null }
  | { readonly kind: 'failed'; readonly fault: PolicyFault; readonly first: boolean }
  | { readonly kind: 'stale'; readonly why: string }

export class FeedRig implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-feed-'))
  readonly signer: Signer = makeSigner('ES256')
  readonly log = quietLog()
  readonly told: Told[] = []
  now = 1_795_000_000_000
  identity: UpstreamIdentity | null = null
  inForce = new PolicyInForce()
  env: Readonly<Record<string, string>> = {}
  #feed: PolicyFeed | null = null

  constructor() {
    this.file('policy.pub', this.signer.text)
  }

  /** Writes a file; gives its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name)
    writeFileSync(path, content)
    return path
  }

  /** Opens `decide.bundle`, signed by this rig's signer unless it says otherwise, and puts what it gives into force. */
  async start(bundle: Settings, more: { readonly must?: boolean } = {}): Promise<void> {
    const trust = 'key' in bundle || 'keys' in bundle || 'unsafe_unsigned' in bundle ? {} : { key: { file: 'policy.pub' } }
    const poll = 'poll' in bundle ? {} : { poll: { min: '1h', max: '1h' } }
    const text = configText({
      routes: { api: routeTo('http://127.0.0.1:1', 'api') },
      settings: {
        decide: { bundle: { ...trust, ...poll, ...bundle } },
        identify: { audience, sources: [{ type: 'spiffe', socket: 'unix:/nobody' }] },
      },
    })
    const loaded = parseConfig(text, join(this.folder, 'countersign.yaml'), {})
    this.inForce.watch({
      changed: (next, before) => void this.told.push({ kind: 'changed', next, before }),
      failed: (fault, first) => void this.told.push({ kind: 'failed', fault, first }),
      stale: (_, why) => void this.told.push({ kind: 'stale', why }),
    })
    const watchdog = { watch: new Watch(), watching: false, setStall: () => undefined, close: async () => undefined }
    const on = { clock: () => this.now, log: this.log, env: this.env, policy: this.inForce, watchdog }
    const next = openFeed(loaded, on, () => this.identity, null)
    try {
      await next.feed.prepare({ must: more.must ?? false })
    } catch (error) {
      await next.feed.close()
      throw error
    }
    this.#feed = next
    next.feed.begin()
  }

  /** One look at the source, to its end. */
  async look(): Promise<void> {
    await this.#feed?.feed.look()
  }

  /** Another source may come in its place. */
  async hold(): Promise<void> {
    await this.#feed?.feed.hold()
  }

  /** It did not come. */
  release(): void {
    this.#feed?.feed.release()
  }

  /** The process ends and another begins: what is in memory is gone. */
  async end(): Promise<void> {
    await this.#feed?.feed.close()
    this.inForce.close()
    this.inForce = new PolicyInForce()
    this.#feed = null
  }

  /** The revision that judges; throws what a call would meet when none does. */
  judge(): string {
    const engine = this.inForce.engine()
    engine.evaluate('countersign/decision', JSON.stringify(allowedInput()))
    return engine.revision
  }

  get faults(): readonly PolicyFault[] {
    return this.told.flatMap((one) => (one.kind === 'failed' ? [one.fault] : []))
  }

  /** Revisions in the order in which they came into force. */
  get revisions(): readonly string[] {
    return this.told.flatMap((one) => (one.kind === 'changed' ? [one.next.revision] : []))
  }

  /** Names of what is kept. */
  kept(): readonly string[] {
    return readdirSync(join(this.folder, 'policy')).sort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
