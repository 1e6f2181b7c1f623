import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A writer of ledgers of format 2, made from docs/ledger-format.md alone: it shares no code with the product. All in memory until `save`. */

export const sha256 = (...parts: readonly (Buffer | string)[]): Buffer => {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}

export interface WriterKey {
  readonly key: KeyObject
  /** Verifier key. */
  readonly text: string
  readonly id: Buffer
}

/** A key of this name. */
export function writerKey(name: string, key: KeyObject = generateKeyPairSync('ed25519').privateKey): WriterKey {
  const raw = Buffer.concat([Buffer.of(1), createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)])
  const id = sha256(`${name}\n`, raw).subarray(0, 4)
  return { key, id, text: `${name}+${id.toString('hex')}+${raw.toString('base64')}` }
}

/** A note over this text with a signature line of each key. */
export function signedNote(name: string, text: string, keys: readonly WriterKey[]): string {
  const lines = keys.map(({ key, id }) => `— ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString('base64')}\n`)
  return `${text}\n${lines.join('')}`
}

/** The root of these leaves, as RFC 6962 §2.1 says it: by halves, not by an edge. */
export function rootOver(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256('')
  if (leaves.length === 1) return leaves[0] ?? sha256('')
  let half = 1
  while (half * 2 < leaves.length) half *= 2
  return sha256(Buffer.of(1), rootOver(leaves.slice(0, half)), rootOver(leaves.slice(half)))
}

/** The hashes of the largest whole subtrees from the left. */
export function edgeOver(leaves: readonly Buffer[]): Buffer[] {
  const edge: Buffer[] = []
  let at = 0
  for (let width = 2 ** 30; width >= 1; width /= 2)
    if (leaves.length - at >= width) {
      edge.push(rootOver(leaves.slice(at, at + width)))
      at += width
    }
  return edge
}

export interface CheckpointChange {
  /** Changes members of the line before it is signed. */
  readonly members?: (own: Record<string, unknown>) => Record<string, unknown>
  /** Changes the text before it is signed. */
  readonly text?: (text: string) => string
  /** Signs instead of the present key (or of the keys that hand over). */
  readonly keys?: readonly WriterKey[]
}

export class LedgerWriter {
  readonly name: string
  /** Segments: the number of their first line, and their lines. */
  readonly segments: { readonly first: number; readonly lines: string[] }[] = []
  key: WriterKey
  durability = 'written'
  now = Date.UTC(2026, 8, 1)
  readonly #leaves: Buffer[] = []
  #head = Buffer.alloc(32)
  readonly #open = new Map<string, number>()
  #ids = 0

  constructor(name = 'ledger.acme.example/one', key: WriterKey = writerKey(name)) {
    this.name = name
    this.key = key
  }

  /** Number of the last line. */
  get size(): number {
    return this.#leaves.length
  }

  get lines(): string[] {
    return this.segments.flatMap(({ lines }) => lines)
  }

  /** The note of the newest checkpoint. */
  get note(): string {
    const line = this.lines.findLast((one) => one.includes('"kind":"checkpoint"')) ?? ''
    return String(JSON.parse(line).custom.countersign.checkpoint)
  }

  /** Begins a segment; all but the first end with a checkpoint. */
  segment(): void {
    if (this.size > 0) this.checkpoint()
    this.segments.push({ first: this.size + 1, lines: [] })
    this.checkpoint()
  }

  decision(id: string, more: Readonly<Record<string, unknown>> = {}): number {
    this.#open.set(id, this.size + 1)
    return this.#line(id, 'decision', { input: { v: 1, request: { id } }, result: { effect: 'allow' } }, more)
  }

  outcome(id: string, more: Readonly<Record<string, unknown>> = {}): number {
    this.#open.delete(id)
    return this.#line(id, 'outcome', {}, { status: 200, ended: 'complete', ...more })
  }

  refusal(more: Readonly<Record<string, unknown>> = {}): number {
    return this.#line(this.#id('c'), 'refusal', {}, { code: 'policy.denied', ...more })
  }

  event(event: string, detail: unknown, more: Readonly<Record<string, unknown>> = {}): number {
    return this.#line(this.#id('e'), 'event', {}, { event, by: 'countersign', ...more, detail })
  }

  /** Some whole calls and refusals. */
  calls(count: number): void {
    for (let call = 0; call < count; call++) {
      const id = this.#id('c')
      this.decision(id)
      if (call % 3 === 0) this.refusal()
      this.outcome(id)
    }
  }

  checkpoint(next: WriterKey | null = null, change: CheckpointChange = {}): number {
    const seq = this.size + 1
    const open = [...this.#open].map(([id, at]) => [at, id])
    const listed = { open: open.slice(0, 256), open_from: open[256]?.[0] ?? seq }
    const edge = edgeOver(this.#leaves).map((one) => one.toString('base64'))
    const members = { format: 2, key: this.key.text, ...(next === null ? {} : { next: next.text }), edge, ...listed }
    const own = change.members?.(members) ?? members
    const whole = this.#text(this.#id('e'), 'checkpoint', {}, own)
    const start = `${whole.slice(0, -3)},"checkpoint":"`
    const base64 = (bytes: Buffer) => bytes.toString('base64')
    const text = `${this.name}\n${this.size}\n${base64(rootOver(this.#leaves))}\nchain ${base64(this.#head)}\ntime ${this.#time()}\ndurability ${this.durability}\nrecord ${base64(sha256(start))}\n`
    const keys = change.keys ?? (next === null ? [this.key] : [this.key, next])
    const note = signedNote(this.name, change.text?.(text) ?? text, keys)
    if (next !== null) this.key = next
    return this.put(`${start}${note.replaceAll('\n', '\\n')}"}}}`)
  }

  /** Puts a line in, whatever it is. */
  put(line: string): number {
    this.segments.at(-1)?.lines.push(line)
    this.#head = Buffer.from(sha256(line))
    this.#leaves.push(sha256(Buffer.of(0), this.#head))
    this.now += 137
    return this.size
  }

  /** Writes the segments from one on into a folder, which is made. */
  save(dir: string, from = 0): string {
    mkdirSync(dir, { recursive: true })
    for (const { first, lines } of this.segments.slice(from))
      writeFileSync(join(dir, `${String(first).padStart(12, '0')}.ndjson`), lines.map((line) => `${line}\n`).join(''))
    return dir
  }

  #line(id: string, kind: string, outer: Readonly<Record<string, unknown>>, own: Readonly<Record<string, unknown>>): number {
    return this.put(this.#text(id, kind, outer, own))
  }

  #text(id: string, kind: string, outer: Readonly<Record<string, unknown>>, own: Readonly<Record<string, unknown>>): string {
    return JSON.stringify({
      decision_id: id,
      timestamp: this.#time(),
      labels: { id: 'side-1', version: '0.1.0' },
      path: `countersign/${kind}`,
      ...outer,
      custom: { countersign: { seq: this.size + 1, prev: `sha256:${this.#head.toString('hex')}`, kind, ...own } },
    })
  }

  #time(): string {
    return new Date(this.now).toISOString()
  }

  #id(letter: string): string {
    this.#ids += 1
    return `${letter}_${String(this.#ids).padStart(4, '0')}`
  }
}
