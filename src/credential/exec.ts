import { spawn } from 'node:child_process'
import { z } from 'zod'
import { Refusal } from '../refusal.ts'
import { Secret } from '../secret.ts'
import { durationBetween } from '../units.ts'
import type { CredentialProvider, Issued, Wanted } from './credential.ts'
import { harmless, judged } from './judge.ts'
import { Apply, placementOf } from './placement.ts'
import { defineProvider, unanswered, type ProviderServices } from './provider.ts'
import { canonicalScopes, Scopes, ScopeToken } from './scopes.ts'

const Name = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be printable ASCII without spaces')

/** Settings of an `exec` provider. */
export const ExecConfig = z
  .strictObject({
    type: z.literal('exec'),
    command: z
      .string()
      .regex(/^\/[^\0]+$/, 'must be an absolute path')
      .describe('The program; it is run directly, without a shell.'),
    args: z.array(z.string().max(4096)).max(64).default([]),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of a variable'), z.string().max(4096))
      .default({})
      .describe('All that it finds in its environment besides a plain PATH. Secrets do not belong here: it can read them itself.'),
    revokes: z.boolean().default(false).describe('It takes back what it gave: it is run again with kind CredentialRevocation.'),
    scope: Scopes.describe('The widest scope that is ever asked for.'),
    audience: z
      .union([Name, z.array(Name).min(1).max(16)])
      .optional()
      .describe('Audience asked for; of several a decision may choose one.'),
    ...harmless,
    ttl: durationBetween(1000, 86_400_000).default(300_000).describe('Longest use of a lease.'),
    timeout: durationBetween(50, 60_000).default(10_000).describe('Longest run; then it is killed with all that it started.'),
    apply: Apply,
  })
  .describe('A credential plug-in: a program that is asked on its standard input and answers on its standard output.')

export type ExecConfig = z.infer<typeof ExecConfig>

/**
 * A program that gives credentials, in the manner of Kubernetes’ exec credentials (client.authentication.k8s.io): one JSON document in, one out,
 * told of the task and held to the same judgement as every issuer. What it writes to standard error is thrown away: it may hold a secret.
 */
export const exec = defineProvider({ type: 'exec', config: ExecConfig, open })

const version = 'countersign/v1'

function open(config: ExecConfig, services: ProviderServices): CredentialProvider {
  return {
    type: 'exec',
    placement: placementOf(config.apply),
    standing: false,
    offer: {
      scopes: canonicalScopes(config.scope),
      audiences: config.audience === undefined ? [] : [config.audience].flat(),
      ttl: config.ttl,
      subject: false,
    },
    issue: (wanted, signal) => issue(config, services, wanted, signal),
    ...(config.revokes ? { revoke: (handle, signal) => revoke(config, handle, signal) } : {}),
  }
}

async function issue(config: ExecConfig, { clock }: ProviderServices, wanted: Wanted, signal: AbortSignal): Promise<Issued> {
  signal.throwIfAborted()
  const answer = Answer.safeParse(documentOf(await run(config, requestOf(wanted), signal))).data?.status
  // what it did, nobody knows
  if (answer === undefined) throw unanswered('what the plug-in wrote is no Credential of countersign/v1')
  const { secret, user, parts, scopes, audience, handle } = answer
  const revocable = config.revokes && handle !== undefined
  const expires = Date.parse(answer.expires)
  const facts = { scopes: canonicalScopes(scopes), audience: audience ?? null, expires, revocable }
  const excess = judged(wanted, facts, config, clock())
  return {
    secret: new Secret(secret),
    ...(user === undefined ? {} : { user }),
    ...(parts === undefined ? {} : { parts: Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, new Secret(value)])) }),
    expires,
    scopes: facts.scopes,
    handle: revocable ? new Secret(handle) : null,
    revocation: revocable ? 'issuer' : 'expiry',
    excess,
  }
}

function requestOf({ lease, task, caller, tool, destination, scopes, audience, ttl, subject }: Wanted): object {
  const person = subject === null ? {} : { onBehalfOf: { subject: subject.subject, issuer: subject.issuer } }
  const spec = { lease, task, caller, tool, destination, scopes, audience, ttlSeconds: Math.floor(ttl / 1000), ...person }
  return { apiVersion: version, kind: 'CredentialRequest', spec }
}

const Answer = z.strictObject({
  apiVersion: z.literal(version),
  kind: z.literal('Credential'),
  status: z.strictObject({
    secret: z.string().min(1).max(65_536),
    user: z.string().min(1).max(512).optional(),
    parts: z.record(z.string().regex(/^[a-z_]{1,64}$/), z.string().min(1).max(65_536)).optional(),
    /** RFC 3339. */
    expires: z.iso.datetime({ offset: true }),
    scopes: z.array(ScopeToken).max(64).default([]),
    audience: z.union([z.string(), z.array(z.string())]).optional(),
    handle: z.string().min(1).max(65_536).optional(),
  }),
})

/** An exit with 0 is its word that the credential is gone. */
async function revoke(config: ExecConfig, handle: Secret, signal: AbortSignal): Promise<void> {
  await run(config, { apiVersion: version, kind: 'CredentialRevocation', spec: { handle: handle.reveal() } }, signal)
}

/** Where its own programs are found unless `env` says otherwise. */
const path = '/usr/local/bin:/usr/bin:/bin'
/** No answer is longer, bytes. */
const answerLimit = 262_144

/** Runs it once; gives what it wrote. Its whole process group is killed when it is late, writes too much or is not wanted any more. */
function run({ command, args, env, timeout }: ExecConfig, document: object, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { PATH: path, ...env }, stdio: ['pipe', 'pipe', 'ignore'], detached: true })
    const stop = (why: unknown): void => {
      kill(child.pid)
      reject(why)
    }
    const abort = (): void => stop(signal.reason)
    const late = setTimeout(() => stop(unanswered('the plug-in did not answer in time')), timeout)
    signal.addEventListener('abort', abort, { once: true })
    const parts: Buffer[] = []
    let size = 0
    child.stdout.on('data', (part: Buffer) => {
      size += part.length
      if (size > answerLimit) stop(unanswered('the plug-in wrote too much'))
      else parts.push(part)
    })
    // one that ends without reading says so by its exit
    child.stdin.on('error', () => {})
    child.on('error', (error) => reject(unstarted(error)))
    // what it left running goes with it
    child.on('exit', () => kill(child.pid))
    child.on('close', (code) => {
      clearTimeout(late)
      signal.removeEventListener('abort', abort)
      if (code === 0) resolve(Buffer.concat(parts).toString('utf8'))
      else reject(unanswered(`the plug-in ended with ${code === null ? 'a signal' : `exit code ${code}`}`))
    })
    child.stdin.end(JSON.stringify(document))
  })
}

/** The group of a program that is gone already is no fault. */
function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // nothing of it runs any more
  }
}

function documentOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

/** It never ran. */
function unstarted(error: Error): Refusal {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return new Refusal('credential.unavailable', { detail: `the plug-in cannot be started: ${code}`, retry: 'never' })
}
