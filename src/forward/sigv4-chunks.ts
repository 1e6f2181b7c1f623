/** Signs the chunks of an `aws-chunked` body anew, in the stream: the agent's own signatures are those of a placeholder key. */
import { createHmac, hash } from 'node:crypto'
import { Refusal } from '../refusal.ts'
import { Gather } from './gather.ts'

/** Where the chain of signatures begins. */
export interface ChunkSeed {
  /** The signature of the head, lower-case hex. */
  readonly signature: string
  /** As in `X-Amz-Date`. */
  readonly date: string
  /** `date/region/service/aws4_request`. */
  readonly scope: string
  readonly key: Buffer
  /** A signed trailer follows the last chunk. */
  readonly trailer: boolean
  /** Bytes that all chunks hold together, as the agent announced them; null: it did not. */
  readonly length: number | null
}

/** A chunk is held whole, since its signature stands before it. SDKs send 64 to 128 KiB. */
const largestChunk = 1_048_576
/** `100000;chunk-signature=` and 64 digits, with room for leading zeros. */
const longestHead = 128
const longestTrailer = 8192

const emptyHash = hash('sha256', '', 'hex')
const crlf = Buffer.from('\r\n')

type Phase = 'head' | 'data' | 'trailer' | 'done'

/**
 * Takes the body as it comes and gives it with every signature replaced by one of the lent key; sizes, data, trailer and so the length stay
 * what they were. Throws `listen.malformed` for what is no aws-chunked body, before anything of the offending chunk is given out.
 */
export class ChunkSigner {
  readonly #seed: ChunkSeed
  readonly #held = new Gather()
  #phase: Phase = 'head'
  #previous: string
  /** Of the chunk under way: its size as the agent wrote it, and in bytes. */
  #written = ''
  #size = 0
  #total = 0

  constructor(seed: ChunkSeed) {
    this.#seed = seed
    this.#previous = seed.signature
  }

  /** Takes the next bytes; gives what of them can go. */
  pass(bytes: Buffer): Buffer[] {
    const out: Buffer[] = []
    let at = 0
    while (at < bytes.length) at = this.#take(bytes, at, out)
    return out
  }

  /** The body has ended: gives the rest, or throws when it is not whole. */
  end(): Buffer[] {
    if (this.#phase === 'trailer') return [this.#signTrailer(this.#held.take().toString('latin1'))]
    if (this.#phase !== 'done') throw malformed('it ends before its last chunk')
    return []
  }

  /** Takes bytes from `at` on, no further than this phase goes; gives where the next one begins. */
  #take(bytes: Buffer, at: number, out: Buffer[]): number {
    switch (this.#phase) {
      case 'head': {
        const end = bytes.indexOf(0x0a, at)
        const to = end === -1 ? bytes.length : end + 1
        this.#hold(bytes.subarray(at, to), longestHead, 'the head of a chunk is too long')
        if (end !== -1) this.#begin(this.#held.take().toString('latin1'), out)
        return to
      }
      case 'data': {
        const to = Math.min(bytes.length, at + this.#size + crlf.length - this.#held.length)
        this.#held.add(bytes.subarray(at, to))
        if (this.#held.length === this.#size + crlf.length) this.#finish(this.#held.take(), out)
        return to
      }
      case 'trailer':
        this.#hold(bytes.subarray(at), longestTrailer, 'its trailer is too long')
        return bytes.length
      case 'done':
      default:
        throw malformed('something follows its last chunk')
    }
  }

  #hold(piece: Buffer, most: number, problem: string): void {
    if (this.#held.length + piece.length > most) throw malformed(problem)
    this.#held.add(piece)
  }

  #begin(line: string, out: Buffer[]): void {
    const [, written, size] = /^(0{0,16}([0-9a-f]{1,8}));chunk-signature=[0-9a-f]{64}\r\n$/i.exec(line) ?? []
    if (written === undefined || size === undefined) throw malformed('the head of a chunk is not a size and a signature')
    this.#written = written
    this.#size = Number.parseInt(size, 16)
    if (this.#size > largestChunk) throw malformed(`a chunk is larger than ${largestChunk} bytes`)
    this.#total += this.#size
    const { length, trailer } = this.#seed
    if (length !== null && (this.#size === 0 ? this.#total !== length : this.#total > length))
      throw malformed('it holds another length than x-amz-decoded-content-length says')
    this.#phase = 'data'
    if (this.#size > 0 || !trailer) return
    out.push(this.#head(Buffer.alloc(0)))
    this.#phase = 'trailer'
  }

  #finish(held: Buffer, out: Buffer[]): void {
    if (!held.subarray(this.#size).equals(crlf)) throw malformed('a chunk does not end where it says')
    out.push(this.#head(held.subarray(0, this.#size)), held)
    this.#phase = this.#size === 0 ? 'done' : 'head'
  }

  #head(data: Buffer): Buffer {
    const signature = this.#sign('AWS4-HMAC-SHA256-PAYLOAD', `${emptyHash}\n${hash('sha256', data, 'hex')}`)
    return Buffer.from(`${this.#written};chunk-signature=${signature}\r\n`, 'latin1')
  }

  /** Clients end a trailer's line by CRLF, by LF, or by both: its bytes stay, and only the value of its signature is another. */
  #signTrailer(text: string): Buffer {
    const [, fields, name, end] =
      /^((?:[a-z0-9-]+:[\x20-\x7e\t]*(?:\n\r\n|\r?\n))*)(x-amz-trailer-signature:)[0-9a-f]{64}(\r\n(?:\r\n)?)$/i.exec(text) ?? []
    if (fields === undefined || name === undefined || end === undefined) throw malformed('its trailer is not fields and a signature')
    const canonical = fields
      .split(/[\r\n]+/)
      .filter((line) => line !== '')
      .map((line) => `${line.slice(0, line.indexOf(':')).toLowerCase()}:${line.slice(line.indexOf(':') + 1).trim()}\n`)
    const signature = this.#sign('AWS4-HMAC-SHA256-TRAILER', hash('sha256', canonical.join(''), 'hex'))
    this.#phase = 'done'
    return Buffer.from(`${fields}${name}${signature}${end}`, 'latin1')
  }

  #sign(algorithm: string, hashes: string): string {
    const { date, scope, key } = this.#seed
    const text = `${algorithm}\n${date}\n${scope}\n${this.#previous}\n${hashes}`
    this.#previous = createHmac('sha256', key).update(text, 'latin1').digest('hex')
    return this.#previous
  }
}

function malformed(problem: string): Refusal {
  return new Refusal('listen.malformed', { reasons: [`the aws-chunked body is malformed: ${problem}`] })
}
