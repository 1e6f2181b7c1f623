/** Where a bundle comes from: looked at again and again, believed never. */

/** A bundle as it came: one packed file, or the files of a folder. */
export type Content =
  | { readonly form: 'packed'; readonly bytes: Uint8Array }
  | { readonly form: 'files'; readonly files: ReadonlyMap<string, Uint8Array> }

/** Tells one state of a source from another: an ETag, or the stamp of a file. Null: this state has none. */
export type Mark = string | null

/** What one look found. */
export type Sight =
  | { readonly is: 'new'; readonly content: Content; readonly mark: Mark }
  /** What was adopted still stands there. */
  | { readonly is: 'adopted'; readonly mark: Mark }
  /** What was refused still stands there. */
  | { readonly is: 'refused' }

/** The marks of what was last made of this source. */
export interface Known {
  /** Of the bundle that was activated. */
  readonly adopted: Mark
  /** Of the last bundle that was not. */
  readonly refused: Mark
}

export interface BundleSource {
  readonly kind: 'shipped' | 'path' | 'url'
  /** For people: a path, or a URL. */
  readonly place: string
  /** Looks once. Rejects with SourceFault when there is nothing to be had, also when `signal` ends it. */
  look(known: Known, signal: AbortSignal): Promise<Sight>
  /** Ms until the next look; `failures`: looks in a row before it that brought nothing of use. Null: there is nothing to look for again. */
  wait(failures: number): number | null
}

/** A source that gives no bundle at present; the message says why and is for the operator. */
export class SourceFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SourceFault'
  }
}

/** Most bytes of a packed bundle. */
export const mostPacked = 16 * 1024 * 1024
/** Most bytes of the files of a bundle. */
export const mostUnpacked = 64 * 1024 * 1024

/** What an operator reads of an error that the system or a library threw. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  if (error.message === '') return code ?? error.name
  return code === null || error.message.includes(code) ? error.message : `${code}: ${error.message}`
}
