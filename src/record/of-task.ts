/** What a ledger says of one task, newest first: only its own lines are parsed. */
import { backwards, type BackwardsOptions } from './backwards.ts'

export interface OfTaskOptions extends BackwardsOptions {
  /** When the task was opened, epoch ms: nothing before is of it. */
  readonly since: number
  /** Most lines given. */
  readonly most: number
}

export interface OfTask {
  /** Newest first. */
  readonly lines: readonly string[]
  /** There are older ones that are not given. */
  readonly more: boolean
}

/** Between two looks at the time of a line, so that a ledger is not read to its beginning for the sake of a young task. */
const stride = 512
/** Clocks step back: lines are looked at so much longer, ms. */
const slack = 60_000

/** Gives the stored lines that name a task. Rejects as the file system does. */
export async function linesOfTask(dir: string, task: string, { since, most, ...options }: OfTaskOptions): Promise<OfTask> {
  const name = Buffer.from(`"${task}"`)
  const lines: string[] = []
  let passed = 0
  for await (const { bytes } of backwards(dir, options)) {
    if (bytes.includes(name)) {
      if (lines.length === most) return { lines, more: true }
      lines.push(bytes.toString())
    }
    if (++passed % stride === 0 && timeOf(bytes) < since - slack) break
  }
  return { lines, more: false }
}

/** Epoch ms; infinite when it cannot be read. */
function timeOf(bytes: Buffer): number {
  const at = bytes.indexOf('"timestamp":"')
  const time = at < 0 ? Number.NaN : Date.parse(bytes.subarray(at + 13, bytes.indexOf(34, at + 13)).toString())
  return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
}
