/** The SDKs that an agent may be built with: how their variables show them, and what a route for each looks like. */
import { isLoopback } from '../identify/keys/key-document.ts'
import type { Env } from '../config/yaml-text.ts'

/** One tool of a route, as YAML flow text. */
type ToolText = string

export interface Sdk {
  readonly name: string
  /** What people call it. */
  readonly title: string
  /** Any of these variables shows that it is used. */
  readonly shows: readonly string[]
  /** Variables that hold its key, the first that is set counts. */
  readonly keys: readonly string[]
  /** Variable that points it somewhere else, and what is behind the host in it. */
  readonly base: { readonly variable: string; readonly path: string }
  /** Where it goes when nothing points it elsewhere. */
  readonly home: string
  /** Class of the destination. */
  readonly egress: 'partner' | 'public'
  /** `apply` of its provider; absent: a bearer token. */
  readonly apply?: string
  /** More lines of its route. */
  readonly route?: string
  readonly tools: readonly ToolText[]
}

const prompt = 'effect: send, risk: medium, egress: public, args: json, prompt: true, accepts: [public, internal]'

export const sdks: readonly Sdk[] = [
  {
    name: 'openai',
    title: 'OpenAI SDK (also LangChain, LangGraph and the AI SDK)',
    shows: ['OPENAI_API_KEY', 'OPENAI_BASE_URL'],
    keys: ['OPENAI_API_KEY'],
    base: { variable: 'OPENAI_BASE_URL', path: '/v1' },
    home: 'https://api.openai.com',
    egress: 'public',
    tools: [
      `{ name: openai.chat, match: "POST /v1/chat/completions", ${prompt} }`,
      `{ name: openai.respond, match: "POST /v1/responses", ${prompt} }`,
      `{ name: openai.embed, match: "POST /v1/embeddings", ${prompt} }`,
      '{ name: openai.models, match: "GET /v1/models", effect: read, risk: low, egress: public }',
    ],
  },
  {
    name: 'anthropic',
    title: 'Anthropic SDK',
    shows: ['ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL'],
    keys: ['ANTHROPIC_API_KEY'],
    base: { variable: 'ANTHROPIC_BASE_URL', path: '' },
    home: 'https://api.anthropic.com',
    egress: 'public',
    apply: '{ header: x-api-key, prefix: "" }',
    tools: [
      `{ name: anthropic.message, match: "POST /v1/messages", ${prompt} }`,
      `{ name: anthropic.count, match: "POST /v1/messages/count_tokens", ${prompt} }`,
    ],
  },
  {
    name: 'gemini',
    title: 'Google Gen AI SDK',
    shows: ['GEMINI_API_KEY', 'GOOGLE_GEMINI_BASE_URL'],
    keys: ['GEMINI_API_KEY'],
    base: { variable: 'GOOGLE_GEMINI_BASE_URL', path: '' },
    home: 'https://generativelanguage.googleapis.com',
    egress: 'public',
    apply: '{ header: x-goog-api-key, prefix: "" }',
    tools: [`{ name: gemini.generate, match: "POST /v1beta/models/{+call}", ${prompt} }`],
  },
  {
    name: 'github',
    title: 'GitHub (Octokit and the Actions toolkit)',
    shows: ['GITHUB_TOKEN', 'GH_TOKEN', 'GITHUB_API_URL'],
    keys: ['GITHUB_TOKEN', 'GH_TOKEN'],
    base: { variable: 'GITHUB_API_URL', path: '' },
    home: 'https://api.github.com',
    egress: 'partner',
    route: 'refusals: github',
    tools: [
      '{ name: github.read, match: "GET /{+path}", effect: read, risk: low, data: [internal], egress: partner }',
      '{ name: github.issue.create, match: "POST /repos/{owner}/{repo}/issues", effect: write, risk: medium, egress: partner, args: json, accepts: [public, internal] }',
      '{ name: github.issue.comment, match: "POST /repos/{owner}/{repo}/issues/{number}/comments", effect: write, risk: medium, egress: partner, args: json, accepts: [public, internal] }',
      '{ name: github.delete, match: "DELETE /{+path}", effect: delete, risk: high, egress: partner }',
    ],
  },
]

/** One SDK of an environment. */
export interface UsedSdk {
  readonly sdk: Sdk
  /** Base URL of its route: without the path that the SDK wants behind the host. */
  readonly to: string
  /** Its upstream is on this machine or in a private network. */
  readonly near: boolean
  /** Variable that holds its key; null when none does. */
  readonly key: string | null
}

/** The SDKs that the environment shows, and those that are asked for by name. `own`: where Countersign will listen, which is no upstream. */
export function usedSdks(env: Env, asked: readonly string[], own: string): readonly UsedSdk[] {
  return sdks
    .filter(({ name, shows }) => asked.includes(name) || shows.some((variable) => isSet(env, variable)))
    .map((sdk) => used(sdk, env, own))
}

function used(sdk: Sdk, env: Env, own: string): UsedSdk {
  const { base, home, keys } = sdk
  const said = env[base.variable]?.replace(/\/+$/, '') ?? ''
  const url = URL.parse(said)
  const usable =
    url !== null && url.origin !== own && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '' && url.hash === ''
  const to = usable ? withoutEnd(said, base.path) : home
  // a key that is not there is looked for under its usual name: whoever asked for the SDK by name sets it before the start
  return { sdk, to, near: isNear(new URL(to).hostname), key: keys.find((name) => isSet(env, name)) ?? (usable ? null : (keys[0] ?? null)) }
}

function withoutEnd(text: string, end: string): string {
  return end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : text
}

/** Names without a dot and addresses of private networks are of this machine or cluster. */
function isNear(host: string): boolean {
  const inside = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|^[^.]+$|\.(svc|internal|local|svc\.cluster\.local)$/
  return isLoopback(host) || inside.test(host)
}

export function isSet(env: Env, name: string): boolean {
  return (env[name] ?? '') !== ''
}
