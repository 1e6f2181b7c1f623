/** The committed policy bundles, bundles made by hand, and a host over them. */

import { readFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Bundle } from '../../src/decide/bundle/bundle.ts'
import { readBundle } from '../../src/decide/bundle/bundle.ts'
import { openPolicy, type PolicyHost, type PolicyOptions } from '../../src/decide/module.ts'
import { readTar } from '../../src/decide/bundle/tar.ts'

const here = new URL('../..', import.meta.url)

export const defaultPolicyBytes: Uint8Array = readFileSync(new URL('rego/policy.tar.gz', here))
export const builtinsPolicyBytes: Uint8Array = readFileSync(new URL('test/conformance/policy/builtins/builtins.tar.gz', here))

/** Lines of a quiet logger. */
export interface Logged {
  readonly level: string
  readonly message: string
}

export function quietLog(): PolicyOptions['log'] & { readonly lines: Logged[] } {
  const lines: Logged[] = []
  const add =
    (level: string) =>
    (_: object, message: string): void => {
      lines.push({ level, message })
    }
  return { lines, info: add('info'), warn: add('warn'), error: add('error') }
}

export function openHost(bytes: Uint8Array | Bundle, options: Partial<PolicyOptions> = {}): PolicyHost {
  const bundle = bytes instanceof Uint8Array ? readBundle(bytes) : bytes
  return openPolicy(bundle, { clock: () => 1000, log: quietLog(), ...options })
}

/** A bundle of these files. */
export function packBundle(files: Readonly<Record<string, Uint8Array | string>>): Uint8Array {
  return gzipSync(packTar(Object.entries(files)))
}

/** The files of a bundle, to change some and pack again. */
export function filesOf(bytes: Uint8Array): Record<string, Uint8Array | string> {
  return Object.fromEntries(readTar(gunzipSync(bytes)))
}

/** A ustar archive of these entries in this order; `kind` is the type flag of all. */
export function packTar(entries: readonly (readonly [string, Uint8Array | string])[], kind = '0'): Uint8Array {
  const blocks: Uint8Array[] = []
  for (const [path, content] of entries) {
    const bytes = Buffer.from(content)
    blocks.push(tarHeader(path, bytes.length, kind), bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512))
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

function tarHeader(path: string, size: number, kind: string): Uint8Array {
  const header = Buffer.alloc(512)
  header.write(path, 0)
  header.write('0000644\0', 100)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.fill(' ', 148, 156)
  header.write(kind, 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

/** Replaces bytes by as many others, everywhere. Throws when they are not there. */
export function patched(bytes: Uint8Array, from: string | Uint8Array, to: string | Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes)
  const [search, replacement] = [Buffer.from(from), Buffer.from(to)]
  let at = copy.indexOf(search)
  if (at === -1 || search.length !== replacement.length) throw new Error('nothing to patch')
  for (; at !== -1; at = copy.indexOf(search, at + 1)) replacement.copy(copy, at)
  return copy
}

/** An input of `countersign/decision` that the default policy allows: one customer is read. */
export function allowedInput(): Record<string, unknown> {
  return {
    v: 1,
    request: {
      id: 'c_1',
      method: 'GET',
      scheme: 'http',
      host: '127.0.0.1:7420',
      port: 7420,
      path: '/customers/42',
      segments: ['customers', '42'],
      query: {},
      headers: { 'content-type': 'application/json' },
      body: { kind: 'none', sha256: null, size: 0, judged: true },
      protocol: 'http',
    },
    caller: {
      spiffe_id: 'spiffe://acme.example/agent',
      trust_domain: 'acme.example',
      method: 'jwt-svid',
      confirmed: 'bearer',
      issuer: null,
      expires: 2000,
      claims: {},
    },
    agent: {
      id: 'spiffe://acme.example/agent',
      purpose: 'answer refunds',
      owners: { business: 'b@acme.example', security: 's@acme.example', incident: 'i@acme.example' },
      autonomy: 'bounded',
      lifecycle: 'live',
      hosting: 'own',
      labels: {},
      bounds: [],
    },
    task: {
      id: 't_1',
      state: 'active',
      implicit: false,
      intent: {
        purpose: 'answer one refund',
        tools: ['crm.*', 'mail.send'],
        resources: ['customer:*', 'order:7'],
        data: ['internal', 'personal'],
        egress: ['internal', 'partner'],
        prompt: null,
      },
      on_behalf_of: null,
      started: 0,
      expires: 2000,
      budget: { limit: { calls: 200 }, spent: { calls: 3 }, debit: { calls: 1 } },
      sensitivity: ['personal'],
      inherited: {},
    },
    delegation: { depth: 0, root: 'agent:spiffe://acme.example/agent', chain: [], verified: true },
    tool: {
      name: 'crm.customer.read',
      route: 'crm',
      kind: 'routine',
      effect: 'read',
      risk: 'low',
      data: ['personal'],
      egress: 'internal',
      resource: 'customer:42',
      accepts: null,
      args_sha256: null,
      catalogued: true,
      prompt: false,
      bound: false,
    },
    sequence: {
      step: 3,
      last: [{ tool: 'crm.order.read', effect: 'read', egress: 'internal', ago: 12 }],
      counts: { 'crm.order.read': 1 },
      steps: { 'crm.order.read': [1, 1] },
      taint: ['personal'],
      sources: { personal: { tool: 'crm.order.read', ago: 12, step: 1, only: true, reads: 1 } },
      brought: [],
      hosts: 1,
      seen: { tool: 0, host: 3, resource: 0, class: 1 },
      repeats: 0,
      sums: [],
      failures: 0,
      denials: {},
      diverged: false,
      divergence: { score: 0, reasons: [] },
    },
    approval: null,
    signals: {},
    context: { now: 1000, mode: 'enforce', policy_revision: 'r', environment: 'test' },
  }
}

/** The default policy under another revision, which knows no kind of open work: every lease ends when it comes into force. */
export const leaseEndingPolicy: Uint8Array = (() => {
  const files = filesOf(defaultPolicyBytes)
  const [manifest = ''] = Object.keys(files).filter((path) => path.endsWith('.manifest'))
  const [wasm = ''] = Object.keys(files).filter((path) => path.endsWith('policy.wasm'))
  const told = JSON.parse(Buffer.from(files[manifest] ?? '').toString())
  const changed = patched(patched(Buffer.from(files[wasm] ?? ''), '\0stream\0', '\0xtream\0'), '\0lease\0', '\0xease\0')
  return packBundle({ ...files, [manifest]: JSON.stringify({ ...told, revision: 'r-ends' }), [wasm]: changed })
})()
