import type { Given } from '../../src/signals.ts'
import type { SignalRow } from '../../src/state/signals.ts'
import { anyTool, ask, freeAgent, routeTo, Running, TestUpstream, type Answered, type RunningOptions, type Settings } from './running.ts'

export const other = 'spiffe://acme.example/ns/test/sa/other'

/** Uploads wait for a scan that says clean; notes and reads wait for nothing of their own. */
export const deferTools: readonly Settings[] = [
  {
    name: 'files.put',
    match: 'PUT /files/{id}',
    effect: 'write',
    risk: 'low',
    egress: 'internal',
    args: 'json',
    resource: 'file:{id}',
  },
  {
    name: 'files.tag',
    match: 'POST /files/{id}/tags',
    effect: 'write',
    risk: 'low',
    egress: 'internal',
    args: 'json',
    resource: 'file:{id}',
  },
  { name: 'files.get', match: 'GET /files/{id}', effect: 'read', risk: 'low', egress: 'internal', resource: 'file:{id}' },
  { name: 'files.raw', match: 'PUT /raw', effect: 'write', risk: 'low', egress: 'internal' },
  anyTool('files.any'),
]

export const scanned = { id: 'scanned', signal: 'malware-scan', equals: 'clean', tools: ['files.put', 'files.raw'] }

export function deferOptions(to: string, settings: Settings, defer: Settings = {}, more: Partial<RunningOptions> = {}): RunningOptions {
  return {
    routes: { files: routeTo(to, 'files', { tools: deferTools }) },
    agents: [freeAgent({ implicit: true }), freeAgent({ id: other })],
    settings: { decide: { environment: 'test', settings }, approve: { defer } },
    ...more,
  }
}

/** A sidecar whose uploads wait, with an upstream that counts connections. */
export class DeferRig implements AsyncDisposable {
  readonly upstream: TestUpstream
  readonly running: Running

  private constructor(upstream: TestUpstream, running: Running) {
    this.upstream = upstream
    this.running = running
  }

  static async start(
    settings: Settings = { requires: [scanned] },
    defer: Settings = {},
    more: Partial<RunningOptions> = {},
  ): Promise<DeferRig> {
    const upstream = await TestUpstream.start()
    return new DeferRig(upstream, await Running.start(deferOptions(upstream.url, settings, defer, more)))
  }

  get foundation(): Running['sidecar']['foundation'] {
    return this.running.sidecar.foundation
  }

  async call(
    method: string,
    path: string,
    more: {
      readonly headers?: Readonly<Record<string, string>>
      readonly by?: string
      readonly task?: string
      readonly body?: string
    } = {},
  ): Promise<Answered> {
    const authorization = `Bearer ${await this.running.svid(more.by)}`
    const task = more.task === undefined ? '' : `/t/${more.task}`
    const body = method === 'GET' ? {} : { body: more.body ?? '{"a":1}' }
    return ask(this.running.port(), `${task}/files${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json', ...more.headers },
      ...body,
    })
  }

  put(file = '1', more: Parameters<DeferRig['call']>[2] = {}): Promise<Answered> {
    return this.call('PUT', `/files/${file}`, more)
  }

  give(change: Partial<Given> = {}): Promise<SignalRow> {
    return this.foundation.signals.give({
      scope: 'resource',
      key: 'file:1',
      name: 'malware-scan',
      value: 'clean',
      source: 'scanner-3',
      ttl: 60_000,
      by: 'person:ada',
      reason: 'scanned',
      ...change,
    })
  }

  /** `detail` of every event of a kind, in order. */
  events(kind: string): readonly Readonly<Record<string, unknown>>[] {
    return this.running.entries().flatMap(({ event, detail }) => (event === kind ? [detail as Record<string, unknown>] : []))
  }

  /** Resolves when so many calls have begun to wait; gives the ids of all that ever did. */
  async waiting(count: number): Promise<readonly string[]> {
    for (;;) {
      const opened = this.events('defer.opened').map(({ call }) => String(call))
      if (opened.length >= count && this.foundation.revoke.held > 0) return opened
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]()
    await this.upstream[Symbol.asyncDispose]()
  }
}
