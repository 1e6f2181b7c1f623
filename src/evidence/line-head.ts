/** What can be told of a stored line by its bytes, without parsing it. */

/** Every line that Countersign writes begins so. */
const idForm = /^\{"decision_id":"([ce]_[0-9A-HJKMNP-TV-Z]{26})"/
const headBytes = 64
const outcomePath = Buffer.from('"path":"countersign/outcome"')
const pathMember = Buffer.from('"path":"countersign/')
const unicodeEscape = Buffer.from('\\u')
const timeMember = Buffer.from('"timestamp"')
/** Where the time stands in every line that Countersign writes, and nothing before it but an id. */
const headForm = /^\{"decision_id":"[\w-]{1,64}","timestamp":"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{1,9}Z)"/
const mostHead = 160
const outcomeKind = Buffer.from('"kind":"outcome"')

/** The id at the beginning of a line; null when it begins otherwise, and has to be parsed. */
export function idOf(bytes: Buffer): string | null {
  return idForm.exec(bytes.toString('latin1', 0, headBytes))?.[1] ?? null
}

/** Whether a line is how a call ended: its path stands before all that an agent may write. */
export function isOutcome(bytes: Buffer): boolean {
  const path = bytes.indexOf(pathMember)
  if (path < 0 || bytes.compare(outcomePath, 0, outcomePath.length, path, path + outcomePath.length) !== 0) return false
  return bytes.includes(outcomeKind, path)
}

/** When a line was made, epoch ms, read off its beginning; null when that is not sure. */
export function timeOf(bytes: Buffer): number | null {
  const text = headForm.exec(bytes.toString('latin1', 0, mostHead))?.[1]
  if (text === undefined) return null
  // of a member that stands twice the last counts
  const again = bytes.indexOf(timeMember, bytes.indexOf(timeMember) + timeMember.length) >= 0
  return again || bytes.includes(unicodeEscape) ? null : Date.parse(text)
}
