import { readFile } from 'node:fs/promises'
import type * as Undici from 'undici'
import { requestText } from '../keys/request-text.ts'
import type { TextAnswer, TextRequest } from '../keys/request-text.ts'
import type { IdentifyServices } from '../source.ts'

/** Files that say how an issuer or API server is spoken to; both are read again for every request, since platforms renew them in place. */
export interface EndpointFiles {
  /** PEM. Its certificates and no others vouch for the server; null: those that Node trusts. */
  readonly ca: string | null
  /** A token of ours for the server; null: none is sent. */
  readonly bearer: string | null
}

/** Speaks to one issuer or API server, over TLS with its own CA when it has one. */
export class Endpoint {
  readonly #files: EndpointFiles
  readonly #services: Pick<IdentifyServices, 'fetch' | 'examination'>
  // written by #over and close alone
  #pem = ''
  #agent: Undici.Agent | null = null

  /** Their `fetch` is used where no CA is set. */
  constructor(files: EndpointFiles, services: Pick<IdentifyServices, 'fetch' | 'examination'>) {
    this.#files = files
    this.#services = services
  }

  /** True when only servers that the configured CA vouches for can be reached. */
  get pinned(): boolean {
    return this.#files.ca !== null
  }

  /** One exchange; `authorize` adds our token. Throws when there is no answer. */
  async request(url: string, request: TextRequest, signal: AbortSignal, authorize: boolean): Promise<TextAnswer> {
    const { ca, bearer } = this.#files
    // loaded here, because most configurations have no such source and commands that only read one should start quickly
    const send = ca === null ? this.#services.fetch : this.#over(await import('undici'), await readFile(ca, 'utf8'))
    const headers =
      authorize && bearer !== null ? { ...request.headers, authorization: `Bearer ${await readBearer(bearer)}` } : request.headers
    return requestText(send, url, headers === undefined ? request : { ...request, headers }, signal)
  }

  close(): void {
    void this.#agent?.destroy()
    this.#agent = null
    this.#pem = ''
  }

  #over({ Agent, fetch: fetchVia }: typeof Undici, pem: string): typeof fetch {
    if (this.#agent === null || pem !== this.#pem) {
      // requests under way end on the old connections
      void this.#agent?.close()
      this.#agent = new Agent({ connect: { ca: pem } })
      this.#pem = pem
    }
    const dispatcher = this.#agent
    const { examination } = this.#services
    const send = async (url: string, init: object): Promise<Undici.Response> => {
      const response = await fetchVia(url, { ...init, dispatcher })
      examination?.answered(url, response.headers.get('date'))
      return response
    }
    return send as unknown as typeof fetch
  }
}

async function readBearer(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim()
  // RFC 6750 §2.1; whatever else is in the file must not become a header, nor part of an error
  if (!/^[\w.~+/-]+=*$/.test(token)) throw new Error(`${file} does not hold one token`)
  return token
}
