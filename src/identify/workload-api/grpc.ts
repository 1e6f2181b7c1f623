/** gRPC takes a tenth of a second to load: it waits for the first connection, and whoever only reads a configuration never has it. */
import { createRequire } from 'node:module'
import type * as Grpc from '@grpc/grpc-js'

let loaded: typeof Grpc | null = null

export function grpc(): typeof Grpc {
  return (loaded ??= createRequire(import.meta.url)('@grpc/grpc-js') as typeof Grpc)
}

/** The status codes of gRPC that mean something of their own here, by number, so that they are there without it. */
export const statuses = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  unimplemented: 12,
} as const
