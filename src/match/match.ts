/** The stage that says what a call is: its route, its tool, the resource it touches, and its body when that is judged. */

import type { Call } from '../listen/call.ts'
import type { Task } from '../task/task.ts'
import { Refusal } from '../refusal.ts'
import { judgeJson, noBody, streamedBody, type BodyLimits } from './body.ts'
import type { Amounts } from './debit.ts'
import { compileCatalogue, uncatalogued, type Catalogue, type Operation } from './catalogue.ts'
import { jsonCaps, type JsonCaps } from './json.ts'
import type { Route } from './route.ts'
import { params } from './template.ts'
import type { Tool } from './tools.ts'

/** The body as the judge saw it. `judged` bytes are the bytes that are forwarded. */
export interface JudgedBody {
  readonly kind: 'none' | 'json' | 'stream'
  /** The parsed document; absent (`undefined`) unless `judged` and `kind` is `json`. Null-prototype objects. */
  readonly parsed: unknown
  /** Exactly what came, when it was read whole; null when there is none or it is still to be streamed, whatever its kind. */
  readonly bytes: Uint8Array | null
  /** Lower-case hex of `bytes`; null without them (the digest of a streamed body is in the outcome). */
  readonly sha256: string | null
  /** Bytes read or announced; null when chunked and not read. */
  readonly size: number | null
  /** False when policy cannot see the whole body: it streams, or a tool that judges it got one past a cap. */
  readonly judged: boolean
}

/** What a call matched. */
export interface Target {
  readonly route: Route
  readonly tool: Tool
  /** Named pieces of the path template. */
  readonly params: Readonly<Record<string, string>>
  readonly resource: string | null
  readonly body: JudgedBody
  /** Budget amounts of this call, `calls: 1` included. */
  readonly debit: Readonly<Record<string, number>>
}

export type Match = (call: Call, task: Task) => Target | Promise<Target>

export interface MatchOptions {
  /** By route name. */
  readonly routes: ReadonlyMap<string, Route>
  /** Most bytes of a body that are read to be judged (`limits.judged_body`). */
  readonly judgedBody: number
  readonly caps?: JsonCaps
  /** Throws when a kill covers what was matched: before a body is read. */
  readonly stopped?: (task: Task, route: Route, tool: Tool) => void
}

/**
 * Compiles the catalogue of every route; throws an Error naming the route and tool that cannot be compiled.
 *
 * The stage throws `match.unroutable` when no route leads there or a path names no resource, and what reading a judged body refuses.
 * It answers in the same tick unless a body is read.
 */
export function makeMatch(options: MatchOptions): Match {
  const limits: BodyLimits = { judged: options.judgedBody, json: options.caps ?? jsonCaps }
  const compiled = new Map(Array.from(options.routes, ([name, route]) => [name, compileRoute(route)]))
  const { stopped } = options
  return (call, task) => {
    const { kind, route } = call.address
    const found = kind === 'route' && route !== null ? compiled.get(route) : undefined
    if (found === undefined) throw new Refusal('match.unroutable')
    const operation = found.catalogue(call)
    stopped?.(task, found.route, operation === null ? found.rest.tool : operation.tool)
    if (operation === null) {
      const body = call.length === 0 ? noBody : streamedBody(call)
      return { ...found.rest, body, debit: withBytes(found.rest.debit, body, task) }
    }
    const named = describe(found.route, operation, call)
    if (operation.tool.args === 'json' && call.length !== 0)
      return judgeJson(call, limits).then((body) => ({ ...named, body, debit: withBytes(operation.debit(body.parsed), body, task) }))
    const body = call.length === 0 ? noBody : streamedBody(call)
    return { ...named, body, debit: withBytes(operation.debit(undefined), body, task) }
  }
}

/** What is known to leave is debited with the permit, where the task has a limit on it; what streams is counted on its way. */
function withBytes(debit: Amounts, { size }: JudgedBody, { row }: Task): Amounts {
  if (row.intent.budget['bytes_out'] === undefined || size === null || size === 0) return debit
  const both: Record<string, number> = Object.assign(Object.create(null) as Record<string, number>, debit)
  both['bytes_out'] = (both['bytes_out'] ?? 0) + size
  return both
}

/** A route, ready to match. */
export interface CompiledRoute {
  readonly route: Route
  readonly catalogue: Catalogue
  /** What a call is that no tool describes; only its body is missing. */
  readonly rest: Omit<Target, 'body'>
}

/** Throws an Error naming the route and the tool that cannot be compiled. */
export function compileRoute(route: Route): CompiledRoute {
  const rest = { route, tool: uncatalogued(route.name), params: {}, resource: null, debit: Object.freeze({ calls: 1 }) }
  try {
    return { route, catalogue: compileCatalogue(route), rest }
  } catch (cause) {
    throw new Error(`route ${route.name}: ${cause instanceof Error ? cause.message : 'malformed'}`, { cause })
  }
}

/** What a call of this operation is, but for its body and what it debits. */
export function describe(route: Route, operation: Operation, call: Call): Omit<Target, 'body' | 'debit'> {
  const { tool, template, resource } = operation
  const pieces = params(template, call.address.segments)
  return { route, tool, params: pieces, resource: resource === null ? null : resource(pieces) }
}
