/**
 * Names of OpenTelemetry's semantic conventions, in one place: HTTP and server (stable), GenAI and MCP (status Development: they have moved
 * before, and will again). What no convention has is ours, under `countersign.`.
 */
export const names = {
  errorType: 'error.type',
  httpMethod: 'http.request.method',
  httpStatus: 'http.response.status_code',
  httpRoute: 'http.route',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  peerAddress: 'network.peer.address',
  peerPort: 'network.peer.port',
  agentId: 'gen_ai.agent.id',
  agentName: 'gen_ai.agent.name',
  conversation: 'gen_ai.conversation.id',
  operation: 'gen_ai.operation.name',
  requestModel: 'gen_ai.request.model',
  toolName: 'gen_ai.tool.name',
  toolCall: 'gen_ai.tool.call.id',
  mcpMethod: 'mcp.method.name',
  mcpVersion: 'mcp.protocol.version',
  rpcRequest: 'jsonrpc.request.id',
  decision: 'countersign.decision',
  decisionId: 'countersign.decision_id',
  observed: 'countersign.observed',
  task: 'countersign.task.id',
  route: 'countersign.route',
  rules: 'countersign.rules',
  controls: 'countersign.controls',
  revision: 'countersign.policy.revision',
  lease: 'countersign.lease.id',
  provider: 'countersign.credential.provider',
  stage: 'countersign.stage',
  ended: 'countersign.ended',
  bytesOut: 'countersign.bytes_out',
  bytesIn: 'countersign.bytes_in',
} as const

/** Methods that HTTP's convention has; another is `_OTHER`. */
const known = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'])

export function methodOf(method: string): string {
  return known.has(method) ? method : '_OTHER'
}

/** What a JSON-RPC message to an MCP server says of itself. */
export interface Spoken {
  readonly method: string
  /** The tool or prompt that it names; null for none. */
  readonly name: string | null
  readonly id: string | null
}

/** Reads a judged body as a message of MCP; null: it is none. Long texts are no names, and are passed over. */
export function mcpOf(body: unknown): Spoken | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const { jsonrpc, method, id, params } = body as Readonly<Record<string, unknown>>
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !/^[a-z]+(\/[A-Za-z_]+)*$/.test(method) || method.length > 64) return null
  const name = typeof params === 'object' && params !== null ? (params as Readonly<Record<string, unknown>>)['name'] : undefined
  return {
    method,
    name: shortText(name),
    id: typeof id === 'number' ? String(id) : shortText(id),
  }
}

/** The model that a body for a model names; null: none. */
export function modelOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  return shortText((body as Readonly<Record<string, unknown>>)['model'])
}

function shortText(value: unknown): string | null {
  return typeof value === 'string' && value.length > 0 && value.length <= 128 ? value : null
}
