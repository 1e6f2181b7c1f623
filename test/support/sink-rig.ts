import type { SinkLine, SinkServices } from '../../src/record/sink.ts'
import { Reading } from '../../src/match/json-keys.ts'
import { signer } from '../../src/notify/webhook.ts'
import { Secret } from '../../src/secret.ts'
import { sinkServices as realServices } from '../../src/sinks.ts'
import type { Loaded } from '../../src/config/load.ts'

/** What a sink is handed: real clients, secrets from a map, a clock that stands. */
export function sinkServices(more: Partial<SinkServices> & { readonly secrets?: Readonly<Record<string, string>> } = {}): SinkServices {
  const { secrets = {}, ...rest } = more
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
  const clock = (): number => 1_790_000_000_000
  const loaded = { folder: '/', config: { identify: { audience: 'spiffe://acme.example/countersign' } } } as unknown as Loaded
  const { client } = realServices(loaded, { env: {}, log, version: '0.1.0', clock })
  return {
    log,
    clock,
    secret: (place) => {
      const value = 'env' in place ? secrets[place.env] : undefined
      if (value === undefined) throw new Error('it is not set')
      return new Secret(value)
    },
    signer: (key) => signer(key, clock),
    client,
    path: (path) => path,
    parse: (text) => new Reading(text).value(),
    source: 'spiffe://acme.example/countersign',
    version: '0.1.0',
    ...rest,
  }
}

/** A stored line as the ledger would have it, with `input` of so many characters that do not compress. */
export function storedLine(seq: number, more: { readonly own?: object; readonly event?: object; readonly kind?: string } = {}): SinkLine {
  const { own = {}, event = {}, kind = 'decision' } = more
  const line = JSON.stringify({
    decision_id: `c_${String(seq).padStart(8, '0')}`,
    timestamp: '2026-09-21T14:13:20.000Z',
    labels: { id: 'side-1', version: '0.1.0' },
    path: `countersign/${kind}`,
    ...event,
    custom: { countersign: { seq, prev: `sha256:${'0'.repeat(64)}`, kind, task: 't_1', ...own } },
  })
  return { seq, line }
}
