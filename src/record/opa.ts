/** Lines as OPA decision-log events (EventV1), put together from ready fragments; ours is under `custom.countersign`. */

import { hash } from 'node:crypto'
import type { LedgerEvent } from './record.ts'
import type { NewId } from '../id.ts'
import type { Part } from './chain.ts'
import { checkpointText, signedNote, type NoteSigner } from './checkpoint.ts'
import { oneLine, quote } from './json-text.ts'
import type { OpenStatement } from './open-calls.ts'
import type { Stamp } from './timestamp.ts'
import { stampSource } from './timestamp.ts'

export interface OpaFormOptions {
  /** At least `id` and `version` of this instance. */
  readonly labels: Readonly<Record<string, string>>
  /** Epoch ms. */
  readonly clock: () => number
  readonly newId: NewId
}

/** What a checkpoint line says besides its place. */
export interface CheckpointState extends OpenStatement {
  readonly seq: number
  /** Hash of the line before, hex. */
  readonly prev: string
  readonly durability: string
  /** Of the tree over all lines before. */
  readonly root: Buffer
  readonly edge: readonly Buffer[]
}

const mostDetail = 16_384

/** The form that all lines of one ledger share. */
export class OpaForm {
  readonly stamp: Stamp
  readonly #labels: string
  readonly #newId: NewId

  constructor(options: OpaFormOptions) {
    const labels = JSON.stringify(options.labels)
    this.#labels = oneLine(labels, Buffer.byteLength(labels))
    this.#newId = options.newId
    this.stamp = stampSource(options.clock)
  }

  /** Everything before `"seq"`; `middle` is JSON members with a leading comma. */
  head(id: string, path: string, middle: string, time: string = this.stamp()): string {
    return `{"decision_id":"${id}","timestamp":"${time}","labels":${this.#labels},"path":"countersign/${path}"${middle},"custom":{"countersign":{`
  }

  /** A line for something that is not a call. */
  event(event: LedgerEvent, rank: Part['rank']): Part {
    const id = this.#newId('e')
    const task = event.task === undefined ? '' : `,"task":${quote(event.task)}`
    const caller = event.caller === undefined ? '' : `,"caller":${quote(event.caller, 2048)}`
    const by = `,"by":${quote(event.by, 2048)}`
    const tail = `,"kind":"event","event":${quote(event.kind, 64)}${by}${caller}${task},"detail":${detailText(event.detail)}}}}`
    return { kind: 'event', id, rank, head: this.head(id, 'event', ''), tail }
  }

  /** The outcome of a call that a crash left open. */
  unknownOutcome(id: string, decision: number): Part {
    const tail = `,"kind":"outcome","decision":${decision},"status":null,"ended":"unknown"}}}`
    return { kind: 'outcome', id, rank: 'own', head: this.head(id, 'outcome', ''), tail }
  }

  /** A checkpoint line and its note, which signs tree and chain before it and the line's own bytes; with `next` it hands the key over. */
  checkpoint(state: CheckpointState, signer: NoteSigner, next: NoteSigner | null = null): { readonly text: string; readonly note: string } {
    const { seq, prev, durability, open, openFrom } = state
    const time = this.stamp()
    const head = this.head(this.#newId('e'), 'checkpoint', '', time)
    const key = `"key":"${signer.verifierKey}"${next === null ? '' : `,"next":"${next.verifierKey}"`}`
    const edge = state.edge.map((one) => `"${one.toString('base64')}"`).join(',')
    const own =
      `${head}"seq":${seq},"prev":"sha256:${prev}","kind":"checkpoint","format":2,${key},"edge":[${edge}]` +
      `,"open":${JSON.stringify(open)},"open_from":${openFrom},"checkpoint":"`
    const root = state.root.toString('base64')
    const chain = Buffer.from(prev, 'hex').toString('base64')
    const record = hash('sha256', own, 'base64')
    const text = checkpointText({ origin: signer.name, size: seq - 1, root, chain, time, durability, record })
    const note = signedNote(text, next === null ? [signer] : [signer, next])
    return { text: `${own}${JSON.stringify(note).slice(1)}}}}`, note }
  }
}

function detailText(detail: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(detail)
  return text.length <= mostDetail ? text : `{"left_out":${text.length}}`
}
