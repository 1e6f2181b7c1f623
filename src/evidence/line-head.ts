/** What can be told of a stored line by its bytes, without parsing it. */

/** Every line that Countersign writes begins so. */
const idForm = /^\{"decision_id":"([ce]_[0-9A-HJKMNP-TV-Z]{26})"/
const headBytes = 64
const outcomePath = Buffer.from('"path":"countersign/outcome"')
const pathMember = Buffer.from('"path":"countersign/')
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
