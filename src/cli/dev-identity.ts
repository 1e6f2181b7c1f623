import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { developmentIssuer } from '../demo/issuer.ts'
import { serveWorkloadApi, type DevelopmentWorkloadApi } from '../demo/workload-api.ts'
import { parseDuration } from '../duration.ts'
import { certificatesPem } from '../identify/x509/pem.ts'
import { isTrustDomain, isWorkloadId, parseSpiffeId } from '../identify/spiffe-id.ts'
import { openWorkloadApi, WorkloadApiFault, type WorkloadApi } from '../identify/workload-api/workload-api.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

const usage = `usage: countersign dev-identity [--trust-domain NAME] [--id SPIFFE_ID]… [--socket PATH] [--ttl DURATION] [--dns NAME]…
       countersign dev-identity mint --audience TEXT [--id SPIFFE_ID] [--socket ADDRESS]
       countersign dev-identity mint --out FOLDER [--id SPIFFE_ID] [--socket ADDRESS]

The first form is a development trust domain: it serves the SPIFFE Workload API on a unix socket until it is stopped, so that any
SPIFFE SDK works on this machine without SPIRE. It prints a line for the environment. Nothing is attested: whoever can open the socket
(this user) is given every ID. Keys are made at the start and gone at the end. Never for production.

The second and third ask a Workload API, this one or any other, for an SVID: a JWT-SVID on standard output, or an X.509-SVID as
svid.pem, key.pem and bundle.pem in a folder.

  --trust-domain NAME   its name (default: acme.example, or that of the first --id)
  --id SPIFFE_ID        an identity to hand out (default: spiffe://NAME/agent and spiffe://NAME/countersign); with mint: which one
  --socket              where to serve (a path; default: in the folder for temporary files), or with mint: whom to ask, such as
                        unix:/path (default: the variable SPIFFE_ENDPOINT_SOCKET, else what this command serves by default)
  --ttl DURATION        how long SVIDs live (default: 5m); X.509-SVIDs are handed out anew after half of it
  --dns NAME            a DNS name in X.509-SVIDs, for clients that know nothing of SPIFFE (default: localhost)
  --audience TEXT       what the JWT-SVID is meant for

exit status: 0 done, 1 no such identity is given (the reason is printed), 64 wrong usage, 69 no Workload API answers, or the socket could not be had`

/** `countersign dev-identity`: a trust domain for one machine, and SVIDs on request. */
export const devIdentity: Command = {
  usage,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, {
      'trust-domain': { type: 'string' },
      id: { type: 'string', multiple: true },
      socket: { type: 'string' },
      ttl: { type: 'string', default: '5m' },
      dns: { type: 'string', multiple: true },
      audience: { type: 'string' },
      out: { type: 'string' },
    })
    const [verb, ...rest] = positionals
    if (rest.length > 0 || (verb !== undefined && verb !== 'mint')) throw new UsageFault('give no arguments, or mint')
    const { id: ids = [], audience, out, socket, ttl, dns = ['localhost'], 'trust-domain': name } = values
    for (const id of ids) if (!isWorkloadId(id)) throw new UsageFault(`"${id}" is not the SPIFFE ID of a workload`)
    if (verb !== 'mint') {
      if (audience !== undefined || out !== undefined) throw new UsageFault('--audience and --out go with mint')
      return serve({ ...named(name, ids), seconds: secondsOf(ttl), socket: socket ?? null, dns }, invocation)
    }
    if (ids.length > 1) throw new UsageFault('mint takes one --id')
    if ((audience === undefined) === (out === undefined)) throw new UsageFault('mint takes either --audience or --out')
    return mint({ id: ids[0] ?? null, audience: audience ?? null, out: out ?? null, socket: socket ?? null }, invocation)
  },
}

/** The trust domain and its identities, each from the other where only one is given. */
function named(name: string | undefined, ids: readonly string[]): Pick<Service, 'trustDomain' | 'ids'> {
  const trustDomain = name ?? (ids[0] === undefined ? 'acme.example' : parseSpiffeId(ids[0]).trustDomain)
  if (!isTrustDomain(trustDomain)) throw new UsageFault(`"${trustDomain}" is no trust domain name`)
  const stray = ids.find((id) => parseSpiffeId(id).trustDomain !== trustDomain)
  if (stray !== undefined) throw new UsageFault(`${stray} is not in ${trustDomain}`)
  return { trustDomain, ids: ids.length > 0 ? ids : [`spiffe://${trustDomain}/agent`, `spiffe://${trustDomain}/countersign`] }
}

function secondsOf(ttl: string): number {
  const ms = parseDuration(ttl)
  if (ms === null || ms < 2000) throw new UsageFault('--ttl takes a duration such as 5m, of 2s or more')
  return Math.ceil(ms / 1000)
}

interface Service {
  readonly trustDomain: string
  readonly ids: readonly string[]
  readonly socket: string | null
  readonly seconds: number
  readonly dns: readonly string[]
}

async function serve(service: Service, { stdout, stderr, signal }: Invocation): Promise<number> {
  const { trustDomain, ids, seconds, dns } = service
  const socket = service.socket === null ? usualSocket(true) : resolve(service.socket.replace(/^unix:(\/\/(?=\/))?/, ''))
  const issuer = await developmentIssuer(trustDomain)
  let api: DevelopmentWorkloadApi
  try {
    api = await serveWorkloadApi({ issuer, socket, ids, seconds, dns })
  } catch (error) {
    stderr.write(`countersign dev-identity: cannot serve on ${socket}: ${error instanceof Error ? error.message : 'unknown'}\n`)
    return exit.unavailable
  }
  stdout.write(`SPIFFE_ENDPOINT_SOCKET=${api.address}\n`)
  stderr.write(`trust domain ${trustDomain}, SVIDs live ${seconds} s, for development only\n${ids.join('\n')}\nCtrl-C ends it\n`)
  try {
    while (!signal.aborted) await wait(3_600_000, undefined, { signal }).catch(() => undefined)
  } finally {
    await api.close()
  }
  return exit.ok
}

interface Wish {
  readonly id: string | null
  readonly audience: string | null
  readonly out: string | null
  readonly socket: string | null
}

async function mint(wish: Wish, invocation: Invocation): Promise<number> {
  const { env, stderr } = invocation
  let api: WorkloadApi
  try {
    api = openWorkloadApi({ env, address: wish.socket ?? env['SPIFFE_ENDPOINT_SOCKET'] ?? `unix:${usualSocket(false)}` })
  } catch (error) {
    throw error instanceof WorkloadApiFault ? new UsageFault(error.message) : error
  }
  try {
    return await (wish.out === null ? mintToken(api, wish, invocation) : mintCertificate(api, wish.id, wish.out, invocation))
  } catch (error) {
    if (!(error instanceof WorkloadApiFault)) throw error
    stderr.write(`countersign dev-identity: ${error.message}\n`)
    return error.code === 'unavailable' ? exit.unavailable : exit.findings
  } finally {
    api.close()
  }
}

async function mintToken(api: WorkloadApi, { id, audience }: Wish, { stdout }: Invocation): Promise<number> {
  const [svid] = await api.fetchJwtSvids(audience ?? '', id === null ? {} : { id })
  stdout.write(`${svid?.token.reveal() ?? ''}\n`)
  return exit.ok
}

async function mintCertificate(api: WorkloadApi, id: string | null, out: string, { stdout, stderr }: Invocation): Promise<number> {
  const { svids } = await api.fetchX509Context()
  const svid = id === null ? svids[0] : svids.find((each) => each.id.id === id)
  if (svid === undefined) {
    stderr.write(
      `countersign dev-identity: the Workload API does not give ${id ?? 'any identity'}; it gives ${svids.map((each) => each.id.id).join(', ')}\n`,
    )
    return exit.findings
  }
  mkdirSync(out, { recursive: true, mode: 0o700 })
  writeFileSync(join(out, 'svid.pem'), certificatesPem(svid.chain))
  writeFileSync(join(out, 'key.pem'), svid.key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(join(out, 'bundle.pem'), certificatesPem(svid.bundle))
  stdout.write(`${svid.id.id}\n`)
  stderr.write(`${out}: svid.pem, key.pem and bundle.pem, good until ${new Date(svid.expires).toISOString()}\n`)
  return exit.ok
}

/** In a folder of this user alone: the socket hands out identities. */
function usualSocket(make: boolean): string {
  const folder = join(tmpdir(), `countersign-${userInfo().uid}`)
  if (make) mkdirSync(folder, { recursive: true, mode: 0o700 })
  return join(folder, 'workload-api.sock')
}
