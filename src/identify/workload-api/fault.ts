/** What can go wrong between a workload and its Workload API, as a closed list of codes. */

/**
 * Why the Workload API could not give what was asked for.
 * - `address`: no usable address was given;
 * - `invalid-argument`: the endpoint takes this client for faulty (Workload Endpoint §6); trying again changes nothing;
 * - `invalid-token`: `ValidateJWTSVID` says that the token is not valid for the audience;
 * - `permission-denied`: the workload has no such identity, or has it no more;
 * - `unavailable`: the endpoint cannot be reached, or cannot answer now;
 * - `unimplemented`: the endpoint does not serve this call;
 * - `malformed`: the endpoint answered with something that breaks the specification;
 * - `missing`: there is no SVID or bundle of that name;
 * - `expired`: the SVID that is there has expired;
 * - `aborted`: the signal that was handed in ended the wait;
 * - `closed`: the client or the source was closed.
 */
export type WorkloadApiFaultCode =
  | 'address'
  | 'invalid-argument'
  | 'invalid-token'
  | 'permission-denied'
  | 'unavailable'
  | 'unimplemented'
  | 'malformed'
  | 'missing'
  | 'expired'
  | 'aborted'
  | 'closed'

/** The one class of error of this client. Its message never holds a key or a token. */
export class WorkloadApiFault extends Error {
  readonly code: WorkloadApiFaultCode

  constructor(code: WorkloadApiFaultCode, message: string) {
    super(message)
    this.name = 'WorkloadApiFault'
    this.code = code
  }
}

const longestShown = 200

/** Text that came from outside, fit for a message: printable ASCII, at most 200 characters. */
export function printable(text: string): string {
  const cut = text.length > longestShown ? `${text.slice(0, longestShown)}...` : text
  return cut.replaceAll(/[^\x20-\x7e]/g, '?')
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
