import { setTimeout as wait } from 'node:timers/promises'
import { destination, pino } from 'pino'
import { fileIdentity } from '../config/file-identity.ts'
import { SettingsFault } from '../inject/settings.ts'
import { settingsOf } from '../inject/settings-file.ts'
import { openWebhook, type Webhook, type WebhookOptions } from '../inject/webhook.ts'
import { ofWorkloadApi } from '../inject/workload-identity.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

/** `countersign inject-webhook`: the mutating admission webhook. */
export const injectWebhook: Command = {
  usage: `usage: countersign inject-webhook --settings FILE (--cert FILE --key FILE | --spiffe [--id SPIFFE_ID]) [--at HOST:PORT]

A mutating admission webhook for pods: HTTPS, AdmissionReview v1, until SIGTERM or SIGINT. POST /inject puts the sidecar into pods that are
labelled countersign/inject: enabled; POST /require puts it into every pod it is asked about. What cannot be done is refused.
GET /livez and /readyz are for probes. docs/kubernetes.md shows the configuration of the API server.

  --settings FILE   what is put in; read again when it changes
  --cert, --key     certificate chain and private key, PEM; read again when they change, as cert-manager replaces them
  --spiffe          the X.509-SVID of the Workload API at SPIFFE_ENDPOINT_SOCKET instead; it needs the DNS name of the Service
  --id SPIFFE_ID    which one, when there are several
  --at HOST:PORT    where to listen (default: 0.0.0.0:8443)

exit status: 0 ended in order, 64 wrong usage, 69 a port or file could not be had, 78 the settings cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      settings: { type: 'string' },
      cert: { type: 'string' },
      key: { type: 'string' },
      spiffe: { type: 'boolean' },
      id: { type: 'string' },
      at: { type: 'string', default: '0.0.0.0:8443' },
    })
    if (positionals.length > 0) throw new UsageFault('inject-webhook takes no arguments')
    const { settings, cert, key, spiffe, id } = values
    if (settings === undefined) throw new UsageFault('give --settings')
    const files = cert !== undefined && key !== undefined ? { cert, key } : null
    if (spiffe === true ? cert !== undefined || key !== undefined : files === null || id !== undefined)
      throw new UsageFault('give either --cert with --key, or --spiffe')
    return serve({ settings, place: placeOf(values.at), files, id: id ?? null }, invocation)
  },
}

interface Wanted {
  readonly settings: string
  readonly place: { readonly host: string; readonly port: number }
  /** Null: an SVID of the Workload API. */
  readonly files: { readonly cert: string; readonly key: string } | null
  readonly id: string | null
}

async function serve({ settings, place, files, id }: Wanted, { env, stderr, signal }: Invocation): Promise<number> {
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination(2))
  let reader: WebhookOptions['settings']
  try {
    reader = settingsOf(settings, log)
  } catch (error) {
    if (!(error instanceof SettingsFault)) throw error
    stderr.write(`${error.message}\n`)
    return exit.config
  }
  let opened: { readonly identity: WebhookOptions['identity']; readonly close: () => void } | null = null
  let webhook: Webhook
  try {
    opened = files === null ? ofWorkloadApi(env, id, log) : { identity: fileIdentity({ ...files, log }), close: () => undefined }
    webhook = await openWebhook({ ...place, identity: opened.identity, settings: reader, log, clock: Date.now })
  } catch (error) {
    opened?.close()
    stderr.write(`countersign inject-webhook: ${error instanceof Error ? error.message : 'unknown'}\n`)
    return exit.unavailable
  }
  log.info({ port: webhook.port, image: reader().image }, 'the webhook is up')
  while (!signal.aborted) await wait(3_600_000, undefined, { signal }).catch(() => undefined)
  await webhook.close()
  opened.close()
  log.info({}, 'the webhook has ended')
  return exit.ok
}

function placeOf(at: string): Wanted['place'] {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:]+\]|[^:]+):(\d{1,5})$/.exec(at) ?? []
  if (host === '' || Number(port) > 65_535) throw new UsageFault(`--at takes HOST:PORT, not "${at}"`)
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}
