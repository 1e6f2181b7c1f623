/** How the SDKs that are known are pointed at a route: by which variables of the environment. */

/** One variable of a container. */
export interface Variable {
  readonly name: string
  readonly value: string
}

interface Sdk {
  /** Name → what follows the route's prefix. */
  readonly bases: Readonly<Record<string, string>>
  /** Variables without which the SDK does not start: they get a value that is no secret, where the container has none. */
  readonly keys: readonly string[]
}

/** Stands where an SDK insists on a key. It has not the shape of a token, so it counts as nothing. */
export const placeholderKey = 'countersign'

const known: Readonly<Record<string, Sdk>> = {
  // both clients of OpenAI and LangChain's take the version with them
  openai: { bases: { OPENAI_BASE_URL: '/v1', OPENAI_API_BASE: '/v1' }, keys: ['OPENAI_API_KEY'] },
  // these put the version there themselves
  anthropic: { bases: { ANTHROPIC_BASE_URL: '' }, keys: ['ANTHROPIC_API_KEY'] },
  gemini: { bases: { GOOGLE_GEMINI_BASE_URL: '' }, keys: ['GEMINI_API_KEY'] },
  vertex: { bases: { GOOGLE_VERTEX_BASE_URL: '' }, keys: [] },
  aws: { bases: { AWS_ENDPOINT_URL: '' }, keys: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'] },
  github: { bases: { GITHUB_API_URL: '' }, keys: [] },
}

/** `aws-s3` and so on: one service of AWS, by the name in its variable. */
const awsService = /^aws-([a-z0-9]+(?:-[a-z0-9]+)*)$/

/** What `sdks` may hold, for messages. */
export const sdkNames: readonly string[] = [...Object.keys(known), 'aws-<service>']

export function isSdk(name: string): boolean {
  return Object.hasOwn(known, name) || awsService.test(name)
}

/** The variables that point an SDK at `base`, such as `http://127.0.0.1:7420/openai`; `isSdk` has to hold. */
export function basesOf(name: string, base: string): Variable[] {
  return Object.entries(sdkOf(name).bases).map(([variable, rest]) => ({ name: variable, value: `${base}${rest}` }))
}

export function keysOf(name: string): readonly string[] {
  return sdkOf(name).keys
}

function sdkOf(name: string): Sdk {
  const sdk = Object.hasOwn(known, name) ? known[name] : undefined
  if (sdk !== undefined) return sdk
  const [, service = ''] = awsService.exec(name) ?? []
  return { bases: { [`AWS_ENDPOINT_URL_${service.toUpperCase().replaceAll('-', '_')}`]: '' }, keys: known['aws']?.keys ?? [] }
}
