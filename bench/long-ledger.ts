import { createHash } from 'node:crypto'
import { leafHash, TreeEdge } from '../src/record/merkle.ts'
import { signedNote, writerKey } from '../test/support/ledger-writer.ts'

export interface LongLedger {
  readonly key: string
  readonly lines: number
  readonly segments: readonly { readonly first: number; readonly text: Buffer }[]
}

const name = 'ledger.acme.example/bench'
const perSegment = 20_000
const perCheckpoint = 1000

/** A ledger of so many lines, decisions with an `input` of about `inputBytes` and their outcomes, made in memory. */
export function longLedger(lines: number, inputBytes: number): LongLedger {
  const key = writerKey(name)
  const tree = new TreeEdge()
  const segments: { first: number; text: Buffer }[] = []
  const filler = Array.from({ length: Math.ceil(inputBytes / 40) }, (_, at) => ({ name: `customer "${at}"`, sum: at * 1.25, ok: true }))
  let prev = Buffer.alloc(32)
  let rows: string[] = []
  let first = 1
  const put = (line: string) => {
    rows.push(line)
    prev = createHash('sha256').update(line).digest()
    tree.append(leafHash(prev))
  }
  const line = (id: string, kind: string, outer: object, own: object) => {
    const place = { seq: tree.size + 1, prev: `sha256:${prev.toString('hex')}`, kind, ...own }
    return JSON.stringify({ decision_id: id, timestamp: '2026-09-21T14:13:20.000Z', ...outer, custom: { countersign: place } })
  }
  const checkpoint = () => {
    const seq = tree.size + 1
    const own = { format: 2, key: key.text, edge: tree.edge.map((one) => one.toString('base64')), open: [], open_from: seq }
    const start = `${line(`e_${seq}`, 'checkpoint', {}, own).slice(0, -3)},"checkpoint":"`
    const record = createHash('sha256').update(start).digest('base64')
    const states = `${name}\n${tree.size}\n${tree.root.toString('base64')}\nchain ${prev.toString('base64')}\n`
    const note = signedNote(name, `${states}time 2026-09-21T14:13:20.000Z\ndurability written\nrecord ${record}\n`, [key])
    put(`${start}${note.replaceAll('\n', '\\n')}"}}}`)
  }
  const end = () => {
    segments.push({ first, text: Buffer.from(rows.map((row) => `${row}\n`).join('')) })
    rows = []
    first = tree.size + 1
  }
  checkpoint()
  while (tree.size < lines) {
    const id = `c_${tree.size}`
    put(line(id, 'decision', { input: { v: 1, body: filler }, result: { effect: 'allow' } }, { caller: 'spiffe://acme.example/agent' }))
    put(line(id, 'outcome', {}, { status: 200, ended: 'complete', stages: { commit: 1, credential: 2, forward: 3 } }))
    if (rows.length >= perSegment) {
      checkpoint()
      end()
      checkpoint()
    } else if (rows.length % perCheckpoint < 2) checkpoint()
  }
  checkpoint()
  end()
  return { key: key.text, lines: tree.size, segments }
}
