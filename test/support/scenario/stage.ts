/** What a scenario plays on: a sidecar with the company's configuration, one upstream behind every route, a clock that it sets. */

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { scheme, signRequest, spki } from '../../../src/admin/signed-request.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { openSidecar, type Sidecar } from '../../../src/sidecar.ts'
import { Issuer } from '../issuer.ts'
import type { Answered, Settings } from '../running.ts'
import { agents, companyConfig, people, staffWith } from './company.ts'

/** What the company's services prove themselves with when they ask about a token. */
const env = { INTROSPECTION: 'introspection-secret' }
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

/** A connection that stays open. */
export interface OpenStream {
  /** Resolves when the upstream has it: the call was permitted. */
  readonly begun: Promise<void>
  /** Resolves when nothing more can come or go. */
  readonly ended: Promise<void>
  isOpen(): boolean
  close(): void
}

export class Stage implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-scenario-'))
  /** Target of every request that reached the upstream, in order. */
  readonly reached: string[] = []
  /** `Authorization` of the same, as the upstream got it. */
  readonly credentials: string[] = []
  /** How far the clock was set ahead, ms. */
  ahead = 0
  readonly #clock = (): number => Date.now() + this.ahead
  readonly #svids = new Issuer({ clock: this.#clock })
  readonly #logins = new Issuer({ clock: this.#clock })
  readonly #keys = new Map<string, KeyObject>()
  readonly #waiting = new Map<string, () => void>()
  readonly #upstream = createServer((incoming, response) => this.#answer(incoming, response))
  #given: Settings
  #sidecar: Sidecar | null = null

  private constructor(given: Settings) {
    this.#given = given
  }

  /** Starts it all. `given.agents` changes registrations by name; the rest is merged over the configuration. */
  static async open(given: Settings): Promise<Stage> {
    const stage = new Stage(given)
    writeFileSync(join(stage.folder, 'svids.json'), stage.#svids.bundle())
    writeFileSync(join(stage.folder, 'people.json'), stage.#logins.jwks())
    await new Promise<void>((resolve) => stage.#upstream.listen(0, '127.0.0.1', resolve))
    await stage.#start()
    return stage
  }

  get sidecar(): Sidecar {
    if (this.#sidecar === null) throw new Error('the sidecar is not running')
    return this.#sidecar
  }

  svid(agent: string): string {
    return this.#svids.mint({ claims: { sub: agents[agent] ?? agent } })
  }

  /** A token of the company's login for one of its people. */
  login(person: string): string {
    const sub = people[person]
    if (sub === undefined) throw new Error(`nobody is called ${person}`)
    return this.#logins.mint({ claims: { sub, iss: 'https://login.acme.example', aud: 'countersign' } })
  }

  async reload(change: Settings): Promise<void> {
    this.#given = { ...this.#given, ...change }
    this.#write()
    await this.sidecar.reload(loadConfig(this.#file, env))
  }

  async restart(): Promise<void> {
    await this.sidecar.close()
    await this.#start()
  }

  /** `custom.countersign` of every stored line, with its decision id and what was judged. */
  async lines(): Promise<(Settings & { readonly id: string })[]> {
    const lines: (Settings & { readonly id: string })[] = []
    const { recorder } = this.sidecar.foundation
    for await (const { line } of recorder.tail({ fromSeq: 1, follow: false, signal: AbortSignal.timeout(5000) })) {
      const { decision_id: id, result, custom } = JSON.parse(line)
      lines.push({ id, result, ...custom.countersign })
    }
    return lines
  }

  /** One request to the agent's port. */
  ask(
    target: string,
    options: { readonly method: string; readonly headers: Readonly<Record<string, string>>; readonly body?: string },
  ): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const sent = this.#send('agent.0', target, options, (response) => void collect(response).then(resolve, reject))
      sent.on('error', reject)
      sent.end(options.body)
    })
  }

  /** One request of a person to the admin port: signed by whoever has a key pair (`given.key_pairs`), else with the local key. */
  async person(target: string, method: string, body?: object, by = ''): Promise<Answered> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const authorization = await this.#proof(by, { method, target, body: text })
    const headers = { authorization, 'content-type': 'application/json' }
    return new Promise((resolve, reject) => {
      const sent = this.#send('admin', target, { method, headers }, (response) => void collect(response).then(resolve, reject))
      sent.on('error', reject)
      sent.end(text)
    })
  }

  /** What the service behind a route learns when it asks about a token (RFC 7662). */
  async introspect(route: string, token: string): Promise<Settings> {
    const authorization = `Basic ${Buffer.from(`${route}:${env.INTROSPECTION}`).toString('base64')}`
    const url = `http://127.0.0.1:${this.sidecar.ports.get('health')}/introspect`
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ token }), headers: { authorization } })
    return (await answer.json()) as Settings
  }

  /** Writes the kill file, and has it read. */
  async killFile(text: string): Promise<void> {
    writeFileSync(join(this.folder, 'kills'), `${text}\n`)
    // one look that is under way may have begun before
    for (let look = 0; look < 2; look++) await this.sidecar.foundation.killFile?.look()
  }

  /** Opens a download, or an upload that sends a first piece and goes on when it is asked whether it is open. */
  stream(method: 'GET' | 'PUT', target: string, headers: Readonly<Record<string, string>>): OpenStream {
    const mark = `${this.#waiting.size}-${target}`
    const begun = new Promise<void>((resolve) => this.#waiting.set(mark, resolve))
    let open = true
    let sent: ClientRequest | null = null
    const ended = new Promise<void>((resolve) => {
      const over = (): void => {
        open = false
        resolve()
      }
      sent = this.#send('agent.0', target, { method, headers: { ...headers, 'x-stays': mark } }, (response) => {
        response.on('error', over).on('close', over).resume()
        if (method === 'PUT') over() // an upload that is answered before its end is over
      })
      sent.on('error', over).on('close', over)
      if (method === 'PUT') sent.write('first piece')
      else sent.end()
    })
    return { begun, ended, isOpen: () => open, close: () => sent?.destroy() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#upstream.closeAllConnections()
    await this.#sidecar?.close()
    await new Promise((resolve) => this.#upstream.close(resolve))
    rmSync(this.folder, { recursive: true, force: true })
  }

  get #file(): string {
    return join(this.folder, 'countersign.yaml')
  }

  #write(): void {
    const { port } = this.#upstream.address() as AddressInfo
    const { agents: changes, key_pairs: holders, ...given } = this.#given
    const keys = { svids: 'svids.json', people: 'people.json' }
    const config = companyConfig(`http://127.0.0.1:${port}`, keys, given)
    const task = { ...(config['task'] as Settings), agents: staffWith((changes ?? {}) as Readonly<Record<string, Settings>>) }
    const admin = { ...(config['admin'] as Settings), approvers: this.#approvers((holders ?? {}) as Readonly<Record<string, string[]>>) }
    writeFileSync(this.#file, stringify({ ...config, task, admin }))
  }

  /** People with key pairs of their own, by name, with their groups. */
  #approvers(holders: Readonly<Record<string, readonly string[]>>): readonly Settings[] {
    return Object.entries(holders).map(([name, groups]) => {
      const key = this.#keys.get(name) ?? generateKeyPairSync('ed25519').privateKey
      this.#keys.set(name, key)
      return { name, key: spki(key).toString('base64'), groups }
    })
  }

  async #proof(by: string, about: { readonly method: string; readonly target: string; readonly body: string }): Promise<string> {
    const key = this.#keys.get(by)
    if (key === undefined) return `Bearer ${readFileSync(join(this.folder, 'admin.key'), 'utf8').trim()}`
    const nobody = await fetch(`http://127.0.0.1:${this.sidecar.ports.get('admin')}/v1/approvals`)
    const realm = /Signed realm="([^"]+)"/.exec(nobody.headers.get('www-authenticate') ?? '')?.[1] ?? ''
    return `${scheme} ${await signRequest(key, { ...about, realm }, this.#clock())}`
  }

  async #start(): Promise<void> {
    this.#write()
    this.#sidecar = await openSidecar(loadConfig(this.#file, env), { env, log: quiet, version: 'test', clock: this.#clock })
  }

  #send(
    port: string,
    path: string,
    { method, headers }: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
    answered: (response: IncomingMessage) => void,
  ): ClientRequest {
    return request({ host: '127.0.0.1', port: this.sidecar.ports.get(port), path, method, agent: false, headers }, answered)
  }

  #answer(incoming: IncomingMessage, response: ServerResponse): void {
    this.reached.push(incoming.url ?? '')
    this.credentials.push(incoming.headers.authorization ?? '')
    incoming.on('error', () => {})
    const mark = incoming.headers['x-stays']
    if (typeof mark === 'string') {
      this.#waiting.get(mark)?.()
      if (incoming.method === 'GET') response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
      else incoming.resume().on('end', () => response.end('{}'))
      return
    }
    incoming.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}'))
  }
}

async function collect(response: IncomingMessage): Promise<Answered> {
  let text = ''
  response.setEncoding('utf8')
  for await (const part of response) text += String(part)
  let json: Readonly<Record<string, unknown>> = {}
  try {
    json = JSON.parse(text)
  } catch {
    // an answer that is no JSON has no members
  }
  return { status: response.statusCode ?? 0, headers: response.headers, text, json }
}
