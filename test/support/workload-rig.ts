import { makeAuthority } from '../../src/demo/x509.ts'
import type { Authority, IssuedSvid } from '../../src/demo/x509.ts'
import { openWorkloadApi } from '../../src/identify/workload-api/workload-api.ts'
import type { WatchEvent, WorkloadApi, WorkloadApiOptions } from '../../src/identify/workload-api/workload-api.ts'
import { jwtBundlesResponse, jwtSvidResponse } from '../../src/identify/workload-api/jwt-messages.ts'
import { x509BundlesResponse, x509SvidResponse } from '../../src/identify/workload-api/x509-messages.ts'
import type { X509SvidMessage, X509SvidResponse } from '../../src/identify/workload-api/x509-messages.ts'

export const agent = 'spiffe://acme.example/agent'
export const proxy = 'spiffe://acme.example/proxy'

export function authority(trustDomain = 'acme.example'): Authority {
  return makeAuthority({ trustDomain, seconds: 3600 })
}

/** The message of an SVID: good by default, wrong by choice. */
export function svidMessage(
  issuer: Authority,
  id: string,
  changes: Partial<X509SvidMessage> & { readonly seconds?: number } = {},
): X509SvidMessage {
  const { seconds = 600, ...rest } = changes
  const issued: IssuedSvid = issuer.issue({ id, seconds })
  return {
    spiffeId: id,
    x509Svid: Buffer.concat(issued.chain),
    x509SvidKey: Buffer.from(issued.key ?? []),
    bundle: Buffer.from(issuer.certificate),
    hint: '',
    ...rest,
  }
}

export function x509Answer(svids: readonly X509SvidMessage[], more: Partial<X509SvidResponse> = {}): Buffer {
  return x509SvidResponse.encode({ svids, crl: [], federatedBundles: new Map(), ...more })
}

/** Bundles by trust domain. */
export function x509BundlesAnswer(bundles: Readonly<Record<string, Uint8Array>>): Buffer {
  return x509BundlesResponse.encode({ crl: [], bundles: byId(bundles) })
}

export function jwtBundlesAnswer(bundles: Readonly<Record<string, string>>): Buffer {
  return jwtBundlesResponse.encode({
    bundles: byId(Object.fromEntries(Object.entries(bundles).map(([name, text]) => [name, Buffer.from(text)]))),
  })
}

export function byId<Value>(bundles: Readonly<Record<string, Value>>): Map<string, Value> {
  return new Map(Object.entries(bundles).map(([name, value]) => [`spiffe://${name}`, value]))
}

/** A token whose signature nobody checks, and whose payload is whatever is asked for. */
export function tokenOf(payload: object | string): string {
  const part = (value: object | string): string =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'ES256', kid: 'one', typ: 'JWT' })}.${part(payload)}.${Buffer.alloc(64, 7).toString('base64url')}`
}

export function jwtAnswer(...svids: readonly { readonly id: string; readonly token: string; readonly hint?: string }[]): Buffer {
  return jwtSvidResponse.encode({ svids: svids.map(({ id, token, hint = '' }) => ({ spiffeId: id, svid: token, hint })) })
}

/** Collects what a watch tells, and lets a test wait for it. */
export class Told<Value> {
  readonly events: WatchEvent<Value>[] = []
  #wake: (() => void)[] = []

  readonly listener = (event: WatchEvent<Value>): void => {
    this.events.push(event)
    const wake = this.#wake
    this.#wake = []
    for (const each of wake) each()
  }

  get kinds(): string[] {
    return this.events.map(({ kind }) => kind)
  }

  /** The event of this number, from 0 on, as soon as it is there. */
  async nth(index: number): Promise<WatchEvent<Value>> {
    for (;;) {
      const event = this.events[index]
      if (event !== undefined) return event
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** The value of the update of this number among all events. */
  async update(index: number): Promise<Value> {
    const event = await this.nth(index)
    if (event.kind !== 'update') throw new Error(`not an update: ${JSON.stringify(event)}`)
    return event.value
  }
}

/** A client that does not wait long; close it at the end. */
export function clientOf(address: string, options: WorkloadApiOptions = {}): WorkloadApi {
  return openWorkloadApi({ address, maxBackoff: 20, ...options })
}
