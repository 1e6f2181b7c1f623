import { readFileSync } from 'node:fs'
import { request as send } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { ApprovalRow } from '../../src/state/approvals.ts'
import { askedOf, type AskedOptions } from './asked.ts'
import { ask, routeTo, Running, type Answered, type RunningOptions, type Settings } from './running.ts'
import { publicClient, startSignInIssuer, type Accounts, type SignInIssuer } from './sign-in-issuer.ts'

/** A port that was free a moment ago: a redirect URI has to be known before anybody listens there. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

export const accounts: Accounts = {
  'u-alice': { groups: ['approvers', 'leads'] },
  'u-bob': { groups: ['approvers'] },
  'u-mallory': { groups: ['interns'] },
}

export interface PeopleOptions {
  readonly admin?: Settings
  readonly routes?: RunningOptions['routes']
  readonly oidc?: Settings
  readonly approve?: Settings
  readonly accounts?: Accounts
  readonly agents?: RunningOptions['agents']
  readonly clock?: () => number
  readonly env?: Readonly<Record<string, string>>
}

/** A Countersign that people sign in to, with a real OpenID provider beside it. */
export class PeopleRig implements AsyncDisposable {
  readonly running: Running
  readonly issuer: SignInIssuer
  readonly origin: string
  readonly #choose: { account: string | null }
  readonly #options: RunningOptions

  private constructor(running: Running, options: RunningOptions, issuer: SignInIssuer, origin: string, choose: { account: string | null }) {
    this.#options = options
    this.running = running
    this.issuer = issuer
    this.origin = origin
    this.#choose = choose
  }

  static async start(options: PeopleOptions = {}): Promise<PeopleRig> {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const choose: { account: string | null } = { account: null }
    const issuer = await startSignInIssuer({
      redirectUri: `${origin}/sign-in/callback`,
      accounts: options.accounts ?? accounts,
      chosen: () => choose.account,
    })
    const oidc = {
      issuer: issuer.issuer,
      client: publicClient,
      approvers: 'group:approvers',
      scope: ['groups'],
      unsafe_plain: true,
      ...options.oidc,
    }
    const settings: RunningOptions['settings'] = {
      admin: { at: `127.0.0.1:${port}`, public_url: origin, sign_in: { oidc }, ...options.admin },
      approve: options.approve ?? {},
    }
    const { clock, env, agents } = options
    const started: RunningOptions = {
      routes: options.routes ?? { api: routeTo('http://127.0.0.1:9', 'api') },
      settings,
      ...(clock === undefined ? {} : { clock }),
      ...(env === undefined ? {} : { env }),
      ...(agents === undefined ? {} : { agents }),
    }
    return new PeopleRig(await Running.start(started), started, issuer, origin, choose)
  }

  /** Swaps in changed settings, section by section. */
  reload(settings: Readonly<Record<string, Settings>>): Promise<void> {
    const before = this.#options.settings ?? {}
    const merged = Object.entries(settings).map(([section, over]) => [section, { ...before[section], ...over }])
    return this.running.reload({ ...this.#options, settings: { ...before, ...Object.fromEntries(merged) } })
  }

  get port(): number {
    return this.running.port('admin')
  }

  get localKey(): string {
    return readFileSync(join(this.running.folder, 'admin.key'), 'utf8').trim()
  }

  browser(agent = 'TestBrowser/1'): Browser {
    return new Browser(this.origin, agent)
  }

  /** A browser whose person has signed in. */
  async signedIn(account: string, agent?: string): Promise<Browser> {
    const browser = this.browser(agent)
    this.#choose.account = account
    await browser.visit('/sign-in')
    return browser
  }

  /** Whom the issuer takes the next one for. */
  choose(account: string | null): void {
    this.#choose.account = account
  }

  /** One request with the local key. */
  admin(path: string, body?: object): Promise<Answered> {
    return this.localKeyAsk(body === undefined ? 'GET' : 'POST', path, body)
  }

  localKeyAsk(method: string, path: string, body?: object): Promise<Answered> {
    return ask(this.port, path, {
      method,
      headers: { authorization: `Bearer ${this.localKey}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  /** Something is asked of people. */
  asked(options: AskedOptions = {}): Promise<ApprovalRow> {
    return askedOf(this.running, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]()
    await this.issuer.close()
  }
}

interface Cookie {
  readonly value: string
  readonly strict: boolean
}

export interface Page extends Answered {
  readonly url: string
}

/** As much of a browser as matters: cookies by host, whatever the port; `SameSite`; fetch metadata; redirects and refreshes. */
export class Browser {
  /** Host → name → cookie. */
  readonly cookies = new Map<string, Map<string, Cookie>>()
  readonly #home: string
  readonly #agent: string

  constructor(home: string, agent: string) {
    this.#home = home
    this.#agent = agent
  }

  /** The session cookie as it would go to any port of our host. */
  get session(): string {
    return this.cookies.get('127.0.0.1')?.get('countersign')?.value ?? ''
  }

  /** Goes to a page; `from`: the origin of the page with the link, null when the address was typed. */
  async visit(path: string, from: string | null = null): Promise<Page> {
    let at = new URL(path, this.#home)
    let by = from
    let foreign = false
    for (let hop = 0; hop < 20; hop++) {
      foreign ||= by !== null && new URL(by).hostname !== at.hostname
      const site = by === null ? 'none' : foreign ? 'cross-site' : new URL(by).origin === at.origin ? 'same-origin' : 'same-site'
      const answer = await this.#send(
        'GET',
        at,
        { 'sec-fetch-site': site, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
        foreign,
      )
      const { location } = answer.headers
      if (location !== undefined) {
        by = by ?? null
        const next = new URL(location, at)
        // a redirect keeps who began, and one through another site is cross-site from there on
        if (next.hostname !== at.hostname) foreign = true
        at = next
        if (foreign && by === null) by = 'http://redirected.invalid'
        continue
      }
      const refresh = /http-equiv="refresh" content="0; url=([^"]+)"/.exec(answer.text)?.[1]?.replaceAll('&#38;', '&')
      if (refresh === undefined) return { ...answer, url: at.href }
      by = at.origin
      foreign = false
      at = new URL(refresh, at)
    }
    throw new Error('too many redirects')
  }

  /** Submits a form of our page, as the page itself does unless headers say otherwise. */
  submit(path: string, form: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    const own = {
      origin: this.#home,
      'sec-fetch-site': 'same-origin',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      'content-type': 'application/x-www-form-urlencoded',
    }
    return this.#send('POST', new URL(path, this.#home), { ...own, ...headers }, false, new URLSearchParams(form).toString())
  }

  /** One request of a script on a page. */
  script(method: string, path: string, headers: Readonly<Record<string, string>>, body?: string): Promise<Answered> {
    return this.#send(method, new URL(path, this.#home), headers, false, body)
  }

  /** The token of the forms on a page. */
  static csrf(page: Answered): string {
    return /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  }

  #send(method: string, url: URL, headers: Readonly<Record<string, string>>, foreign: boolean, body?: string): Promise<Answered> {
    const jar = this.cookies.get(url.hostname) ?? new Map<string, Cookie>()
    this.cookies.set(url.hostname, jar)
    const cookie = [...jar].filter(([, { strict }]) => !foreign || !strict).map(([name, { value }]) => `${name}=${value}`)
    const sent = {
      'user-agent': this.#agent,
      ...(cookie.length === 0 ? {} : { cookie: cookie.join('; ') }),
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    }
    return new Promise((resolve, reject) => {
      const request = send(url, { method, agent: false, headers: sent }, (response) => {
        let text = ''
        for (const line of response.headers['set-cookie'] ?? []) keep(jar, line)
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: {} }))
      })
      request.on('error', reject)
      request.end(body)
    })
  }
}

function keep(jar: Map<string, Cookie>, line: string): void {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
  const name = pair.slice(0, pair.indexOf('='))
  const value = pair.slice(pair.indexOf('=') + 1)
  if (value === '' || attributes.some((one) => /^max-age=0$/i.test(one))) jar.delete(name)
  else jar.set(name, { value, strict: attributes.some((one) => /^samesite=strict$/i.test(one)) })
}
