import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { developmentIssuer, type DevelopmentIssuer } from '../../src/demo/issuer.ts'
import { serveWorkloadApi, type DevelopmentWorkloadApi, type WorkloadApiServing } from '../../src/demo/workload-api.ts'
import type { TlsPeer } from '../../src/listen/call.ts'

export const agentId = 'spiffe://acme.example/agent'
export const ownId = 'spiffe://acme.example/countersign'

/** A trust domain with its Workload API on a socket of its own, and a partner's trust domain that it vouches for. */
export class WorkloadCompany implements AsyncDisposable {
  readonly acme: DevelopmentIssuer
  readonly partner: DevelopmentIssuer
  readonly socket: string
  readonly folder: string
  api: DevelopmentWorkloadApi
  readonly #serving: WorkloadApiServing

  private constructor(folder: string, serving: WorkloadApiServing, partner: DevelopmentIssuer, api: DevelopmentWorkloadApi) {
    this.folder = folder
    this.acme = serving.issuer
    this.partner = partner
    this.socket = `unix:${serving.socket}`
    this.api = api
    this.#serving = serving
  }

  static async found(options: Partial<Pick<WorkloadApiServing, 'ids' | 'seconds' | 'dns' | 'clock'>> = {}): Promise<WorkloadCompany> {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-workload-'))
    const issuer = await developmentIssuer('acme.example', options.clock)
    const partner = await developmentIssuer('partner.example', options.clock)
    const serving = { issuer, socket: join(folder, 'api.sock'), ids: [ownId, agentId], seconds: 300, federated: [partner], ...options }
    return new WorkloadCompany(folder, serving, partner, await serveWorkloadApi(serving))
  }

  /** The Workload API goes away. */
  async stop(): Promise<void> {
    await this.api.close()
  }

  /** It comes back on the same socket, with the keys as they are. */
  async start(): Promise<void> {
    this.api = await serveWorkloadApi(this.#serving)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A connection on which a workload of this issuer showed its X.509-SVID. */
export function peerOf(issuer: DevelopmentIssuer, id: string, seconds = 300): TlsPeer {
  return { chain: issuer.issue({ id, seconds }).chain }
}
