import { Agent, request } from 'node:https'
import { createPrivateKey } from 'node:crypto'
import type { IssuedSvid } from '../../src/demo/x509.ts'
import { certificatesPem } from '../../src/identify/x509/pem.ts'

/** What came of one call: a status with its refusal code, or what ended the connection. */
export interface Came {
  readonly status: number | null
  readonly code: string | null
  /** Of the connection, when there was no answer. */
  readonly fault: string | null
}

/** PEM of an SVID as TLS takes it. */
export function keyedChain(svid: IssuedSvid): { readonly cert: string; readonly key: string } {
  const key = createPrivateKey({ key: Buffer.from(svid.key ?? []), format: 'der', type: 'pkcs8' })
  return { cert: certificatesPem(svid.chain), key: key.export({ format: 'pem', type: 'pkcs8' }) }
}

/** An agent that shows an X.509-SVID, and trusts whoever answers: what is tested is whom Countersign trusts. */
export class SvidClient {
  readonly svid: IssuedSvid
  readonly #agent: Agent

  constructor(svid: IssuedSvid) {
    this.svid = svid
    this.#agent = new Agent({ ...keyedChain(svid), keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
  }

  /** One GET; connections are kept from call to call. */
  get(port: number, path: string): Promise<Came> {
    return new Promise((resolve) => {
      const sent = request({ host: '127.0.0.1', port, path, agent: this.#agent }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('error', (error) => resolve({ status: null, code: null, fault: error.message }))
        response.on('end', () => resolve({ status: response.statusCode ?? null, code: codeOf(text), fault: null }))
      })
      sent.on('error', (error: NodeJS.ErrnoException) => resolve({ status: null, code: null, fault: error.code ?? error.message }))
      sent.end()
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

function codeOf(text: string): string | null {
  try {
    const { code }: { code?: unknown } = JSON.parse(text)
    return typeof code === 'string' ? code : null
  } catch {
    return null
  }
}
