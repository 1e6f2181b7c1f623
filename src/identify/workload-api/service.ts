import type { MethodDefinition } from '@grpc/grpc-js'
import { jwtBundlesResponse, jwtSvidRequest, jwtSvidResponse, validateJwtSvidRequest, validateJwtSvidResponse } from './jwt-messages.ts'
import { emptyMessage } from './map-field.ts'
import type { Codec } from './map-field.ts'
import { witBundlesResponse, witSvidRequest, witSvidResponse } from './wit-messages.ts'
import { x509BundlesResponse, x509SvidResponse } from './x509-messages.ts'

/** The metadata that every call must carry, against requests that a server was tricked into making (Workload Endpoint §3). */
export const securityHeader = { name: 'workload.spiffe.io', value: 'true' } as const

/**
 * The whole service, as a gRPC server takes it (`server.addService(workloadApiService, handlers)`).
 * Its name has no package: `/SpiffeWorkloadAPI/FetchX509SVID`.
 */
export const workloadApiService = {
  FetchX509SVID: method('FetchX509SVID', emptyMessage, x509SvidResponse, true),
  FetchX509Bundles: method('FetchX509Bundles', emptyMessage, x509BundlesResponse, true),
  FetchJWTSVID: method('FetchJWTSVID', jwtSvidRequest, jwtSvidResponse, false),
  FetchJWTBundles: method('FetchJWTBundles', emptyMessage, jwtBundlesResponse, true),
  ValidateJWTSVID: method('ValidateJWTSVID', validateJwtSvidRequest, validateJwtSvidResponse, false),
  FetchWITSVID: method('FetchWITSVID', witSvidRequest, witSvidResponse, true),
  FetchWITBundles: method('FetchWITBundles', emptyMessage, witBundlesResponse, true),
}

export type WorkloadApiMethod = keyof typeof workloadApiService

function method<Request, Response>(
  name: string,
  request: Codec<Request>,
  response: Codec<Response>,
  responseStream: boolean,
): MethodDefinition<Request, Response> {
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: (message) => request.encode(message),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => response.encode(message),
    responseDeserialize: (bytes) => response.decode(bytes),
  }
}
