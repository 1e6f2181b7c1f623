import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { openSidecar, type Sidecar } from '../../src/sidecar.ts'
import type { Settings } from './running.ts'

export const examples = resolve(import.meta.dirname, '../../examples')

export interface ExampleOptions {
  readonly name: string
  /** Route → where it goes in place of the upstream that the example names. */
  readonly to: Readonly<Record<string, string>>
  /** Files that the example's configuration names, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Settings over those of its providers. */
  readonly provider?: Settings
}

/** What the process of an agent did. */
export interface AgentRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * An example as it is shipped, but for what a test must have its own way: ports, whose identities, and stand-ins as upstreams. Its
 * catalogue, its registration of the agent and its providers judge the calls of the agent's own program.
 */
export class Example implements AsyncDisposable {
  readonly folder: string
  readonly sidecar: Sidecar
  readonly #name: string

  private constructor(name: string, folder: string, sidecar: Sidecar) {
    this.#name = name
    this.folder = folder
    this.sidecar = sidecar
  }

  static async start({ name, to, files = {}, provider = {} }: ExampleOptions): Promise<Example> {
    const folder = mkdtempSync(join(tmpdir(), `countersign-${name}-`))
    const config = parse(readFileSync(join(examples, name, 'countersign.yaml'), 'utf8'))
    const at = '127.0.0.1:0'
    Object.assign(config, { listen: { agent: [{ at }], health: { at }, drain: '2s' }, admin: { at } })
    config.identify.sources = [{ type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'bundle.json' } }]
    for (const [route, url] of Object.entries(to)) Object.assign(config.forward.routes[route], { to: url, reach: 'private' })
    for (const settings of Object.values(config.credential.providers)) Object.assign(settings as object, provider)
    const issuer = await developmentIssuer('acme.example')
    const token = await issuer.mint(config.task.agents[0].id, config.identify.audience, 300)
    const all = { ...files, 'bundle.json': issuer.bundle, 'agent.jwt': token, 'countersign.yaml': stringify(config) }
    for (const [file, text] of Object.entries(all)) writeFileSync(join(folder, file), text)
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const sidecar = await openSidecar(loadConfig(join(folder, 'countersign.yaml'), {}), { env: {}, log, version: 'test' })
    return new Example(name, folder, sidecar)
  }

  port(name = 'agent.0'): number {
    return this.sidecar.ports.get(name) ?? 0
  }

  /** Runs a program of the example's folder to its end, with what its README says it needs in its environment. */
  run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<AgentRun> {
    const more = { COUNTERSIGN_URL: `http://127.0.0.1:${this.port()}`, AGENT_TOKEN_FILE: join(this.folder, 'agent.jwt') }
    const options = { cwd: join(examples, this.#name), env: { PATH: process.env['PATH'], ...more, ...env }, timeout: 50_000 }
    return new Promise((settle) => {
      execFile(program, args, options, (error, stdout, stderr) => {
        settle({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr })
      })
    })
  }

  /** `custom.countersign` of every stored line. */
  entries(): Readonly<Record<string, unknown>>[] {
    const ledger = join(this.folder, 'ledger')
    const text = readdirSync(ledger)
      .filter((name) => name.endsWith('.ndjson'))
      .map((name) => readFileSync(join(ledger, name), 'utf8'))
    return text
      .join('')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).custom.countersign)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sidecar.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** What a scripted model was sent, and its address. */
export interface ScriptedModel extends AsyncDisposable {
  readonly url: string
  readonly seen: { readonly authorization: string; readonly messages: readonly { readonly role: string; readonly content: unknown }[] }[]
}

/** A model that asks for order 1042 first, and then says what it was told of it. */
export async function scriptedModel(): Promise<ScriptedModel> {
  const seen: ScriptedModel['seen'] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { messages } = JSON.parse(Buffer.concat(parts).toString('utf8'))
      seen.push({ authorization: request.headers.authorization ?? '', messages })
      const told = messages.at(-1)
      const call = { id: 'call_1', type: 'function', function: { name: 'read_order', arguments: '{"id":"1042"}' } }
      const message =
        told.role === 'tool'
          ? { role: 'assistant', content: `The order says: ${told.content}` }
          : { role: 'assistant', content: null, tool_calls: [call] }
      const choices = [{ index: 0, message, finish_reason: told.role === 'tool' ? 'stop' : 'tool_calls' }]
      const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
      const answer = { id: 'chat-1', object: 'chat.completion', created: 1, model: 'scripted', choices, usage }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    })
  })
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((settle) => server.close(settle))
    },
  }
}
