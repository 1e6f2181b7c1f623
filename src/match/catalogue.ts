/** The tools of one route, compiled once so that a call finds its own by method and number of segments. */

import type { Call } from '../listen/call.ts'
import type { Route } from './route.ts'
import type { Tool } from './tools.ts'
import { compileDebit, type Debit } from './debit.ts'
import { isSpelledOut, lenient, lenientSegments, lenientTemplate } from './likeness.ts'
import { compileResource, type NameResource } from './resource.ts'
import { bySpecificity, fits, parseTemplate, type Template } from './template.ts'

/** One tool, ready to match. */
export interface Operation {
  readonly tool: Tool
  readonly template: Template
  /** The template as a lenient server reads it. */
  readonly lenient: Template
  /** Null when the tool touches no named resource. */
  readonly resource: NameResource | null
  readonly debit: Debit
}

/** What a look-up needs of a call. */
export type Asked = Pick<Call, 'method' | 'header'> & { readonly address: Pick<Call['address'], 'segments'> }

/** Gives the most specific operation that a call is, or null when the catalogue has none. */
export type Catalogue = (asked: Asked) => Operation | null

/**
 * Compiles the tools of a route. The more specific template wins, then the one that names more headers, then the one that
 * stands first. HEAD is matched as GET too, the method itself stays visible to policy. A call that a lenient server would take for
 * another operation (`/Refunds;x/` where `/refunds` is catalogued, or another case of a header's value) is none of them.
 * Throws an Error naming the tool and what is wrong with it.
 */
export function compileCatalogue(route: Pick<Route, 'tools' | 'selects'>): Catalogue {
  const operations = route.tools.filter((tool) => tool.match !== null).map((tool) => compileTool(tool, route.selects))
  // a stable sort: equals keep the order of the catalogue
  operations.sort((left, right) => bySpecificity(left.template, right.template) || headerCount(right) - headerCount(left))
  const methods = new Set([...operations.map(({ template }) => template.method), 'HEAD', '*'])
  const tables = new Map([...methods].map((method) => [method, tableOf(operations, method)]))
  const others = tables.get('*') ?? []
  const byHeader = operations.some(({ tool }) => tool.headers !== undefined)
  return (asked) => {
    const { segments } = asked.address
    const table = tables.get(asked.method) ?? others
    const found = first(table, segments, 'template', (tool) => selected(tool, asked, same))
    if (found === null || operations.length === 1) return found
    const spelledOut = isSpelledOut(found.template)
    if (spelledOut && !byHeader) return found
    const read = spelledOut ? segments : lenientSegments(segments)
    const other = first(table, read, spelledOut ? 'template' : 'lenient', (tool) => selected(tool, asked, alike))
    return other === null || other === found ? found : null
  }
}

/** The first operation whose `template` (or the `lenient` one) fits. */
function first(table: Table, segments: readonly string[], form: 'template' | 'lenient', chosen: (tool: Tool) => boolean): Operation | null {
  for (const operation of table[Math.min(segments.length, table.length - 1)] ?? []) {
    if (fits(operation[form], segments) && chosen(operation.tool)) return operation
  }
  return null
}

/** Operations by number of segments. */
type Table = readonly (readonly Operation[])[]

/** The worst a call can be: what a call is that no tool of its route describes. */
export function uncatalogued(route: string): Tool {
  return {
    name: `${route}.uncatalogued`,
    match: null,
    kind: 'privilege',
    effect: 'unknown',
    risk: 'critical',
    data: ['unknown'],
    egress: 'public',
    resource: null,
    accepts: [],
    args: null,
    answer: null,
    reads: ['unknown'],
    debit: {},
    prompt: false,
    bound: false,
    catalogued: false,
  }
}

function compileTool(tool: Tool, selects: readonly string[]): Operation {
  try {
    for (const name of Object.keys(tool.headers ?? {})) {
      if (!selects.includes(name)) throw new Error(`header ${name} is not listed in the route's selects`)
    }
    const template = parseTemplate(tool.match ?? '')
    const resource = tool.resource === null ? null : compileResource(tool.resource, template.names)
    return { tool, template, lenient: lenientTemplate(template), resource, debit: compileDebit(tool.debit, tool.args === 'json') }
  } catch (cause) {
    throw new Error(`tool ${tool.name}: ${cause instanceof Error ? cause.message : 'malformed'}`, { cause })
  }
}

/** Candidates by number of segments, in order; the last row serves every longer path and holds open templates only. */
function tableOf(operations: readonly Operation[], method: string): Table {
  const mine = operations.filter(({ template }) => serves(template.method, method))
  const longest = Math.max(0, ...mine.map(({ template }) => template.pieces.length))
  return Array.from({ length: longest + 2 }, (_, count) =>
    mine.filter(({ template }) => (template.open ? template.pieces.length <= count : template.pieces.length === count)),
  )
}

function serves(templateMethod: string, method: string): boolean {
  return templateMethod === method || templateMethod === '*' || (method === 'HEAD' && templateMethod === 'GET')
}

function selected(tool: Tool, asked: Asked, agree: (value: string, wanted: string) => boolean): boolean {
  for (const name in tool.headers) {
    const value = asked.header(name)
    if (value === undefined || !agree(value, tool.headers[name] ?? '')) return false
  }
  return true
}

const same = (value: string, wanted: string): boolean => value === wanted
const alike = (value: string, wanted: string): boolean => lenient(value) === lenient(wanted)

function headerCount({ tool }: Operation): number {
  return Object.keys(tool.headers ?? {}).length
}
