/** What record sinks are handed: secrets, clocks, and HTTP clients of their own. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Agent, request } from 'undici'
import { secretReader } from './config/keys.ts'
import type { Loaded } from './config/load.ts'
import { same } from './config/outdated.ts'
import type { Foundation } from './foundation.ts'
import { Reading } from './match/json-keys.ts'
import { signer } from './notify/webhook.ts'
import { openSink } from './record/registry.ts'
import type { ClientTls, NamedSink, Post, SinkServices } from './record/sink.ts'

type Around = Pick<Foundation, 'env' | 'log' | 'version' | 'clock'>

/**
 * The sinks of a configuration, opened; of `previous` those that did not change, which then go on. Throws an Error that names the one whose
 * settings cannot work.
 */
export function sinksOf(
  loaded: Loaded,
  on: Around,
  previous: { readonly loaded: Loaded; readonly sinks: readonly NamedSink[] } | null,
): NamedSink[] {
  const services = sinkServices(loaded, on)
  const before = previous?.loaded.folder === loaded.folder ? previous.loaded.config.record.sinks : []
  return loaded.config.record.sinks.map((settings) => {
    const kept = previous?.sinks[before.findIndex((one) => same(one, settings))]
    return kept ?? openSink(settings, services)
  })
}

export function sinkServices({ config, folder }: Loaded, { env, log, version, clock }: Around): SinkServices {
  const secret = secretReader(folder, env)
  return {
    log,
    clock,
    secret,
    signer: (key) => signer(key, clock),
    client: (tls) => client(tls, folder, secret),
    path: (path) => resolve(folder, path),
    parse: (text) => new Reading(text).value(),
    source: config.identify.audience,
    version,
  }
}

/** Most bytes of an answer that are kept; receivers say little. */
const mostBody = 65_536

/** Its connections are used for nothing else, and a proxy of the environment is not asked. Files that were replaced count from the next POST on. */
function client({ ca, cert, key }: ClientTls, folder: string, secret: SinkServices['secret']): ReturnType<SinkServices['client']> {
  const read = (file: string): string => readFileSync(resolve(folder, file), 'utf8')
  const credentials = () => ({
    ...(ca !== undefined && { ca: read(ca.file) }),
    ...(cert !== undefined && { cert: read(cert.file) }),
    ...(key !== undefined && { key: secret(key).reveal() }),
  })
  let connect = credentials()
  let dispatcher = opened(connect)
  return {
    post: async (...sent) => {
      const present = credentials()
      if (!same(present, connect)) {
        // what is under way on the old connections ends as it began
        void dispatcher.close()
        connect = present
        dispatcher = opened(connect)
      }
      return poster(dispatcher)(...sent)
    },
    close: () => dispatcher.close(),
  }
}

function opened(connect: object): Agent {
  return new Agent({ connect, connections: 2, pipelining: 1 })
}

function poster(dispatcher: Agent): Post {
  return async (url, headers, body, signal) => {
    const answer = await request(url, { method: 'POST', headers, body, signal, dispatcher })
    const parts: Buffer[] = []
    let size = 0
    for await (const part of answer.body) {
      const bytes = part as Buffer
      parts.push(bytes)
      size += bytes.length
      // leaving the loop ends the connection: whoever says that much is not listened to
      if (size > mostBody) break
    }
    const { headers: said, statusCode } = answer
    const header = (name: string): string | null => {
      const value = said[name]
      return (Array.isArray(value) ? value[0] : value) ?? null
    }
    return { status: statusCode, header, body: Buffer.concat(parts).subarray(0, mostBody) }
  }
}
