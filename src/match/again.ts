/** Finds what a call under way, or a lease that is out, is in a catalogue that came after it. */

import type { Call } from '../listen/call.ts'
import { compileRoute, describe, type CompiledRoute, type Target } from './match.ts'
import type { Route } from './route.ts'

/** A tool, on its route, with the resource that it touches. */
export type Place = Pick<Target, 'route' | 'tool' | 'resource'>

/** What a lease says of its use. */
export interface Lent {
  readonly tool: string
  /** Origin and base path. */
  readonly destination: string
  readonly provider: string
}

/** Null: there is no route any more that leads there, or none that leads to the same destination. An operation that left the catalogue is the route's uncatalogued rest. */
export interface Again {
  call(call: Call, was: Target): Place | null
  /** Also null when no route to the destination is lent a credential of that provider. */
  lease(lent: Lent): Place | null
  /** The route of this name. */
  route(name: string): Route | null
}

/** Makes the look-up in these routes, by name; each is compiled when it is first needed. They are known to compile. */
export function makeAgain(routes: ReadonlyMap<string, Route>): Again {
  const compiled = new Map<string, CompiledRoute>()
  const compile = (route: Route): CompiledRoute => {
    let known = compiled.get(route.name)
    if (known === undefined) compiled.set(route.name, (known = compileRoute(route)))
    return known
  }
  return {
    call: (call, was) => {
      const route = routes.get(was.route.name)
      if (route === was.route) return was
      if (route === undefined || destination(route) !== destination(was.route)) return null
      const { catalogue, rest } = compile(route)
      const operation = catalogue(call)
      return operation === null ? rest : describe(route, operation, call)
    },
    lease: (lent) => {
      const leading = [...routes.values()].filter((route) => destination(route) === lent.destination && route.credential === lent.provider)
      for (const route of leading) {
        const tool = route.tools.find(({ name }) => name === lent.tool)
        if (tool !== undefined) return { route, tool, resource: null }
      }
      const [first] = leading
      return first === undefined ? null : compile(first).rest
    },
    route: (name) => routes.get(name) ?? null,
  }
}

function destination({ to }: Route): string {
  return to.origin + to.basePath
}
