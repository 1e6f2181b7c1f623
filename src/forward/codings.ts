/** Takes a `Content-Encoding` field; gives its codings in the order they were applied, in lower case, without `identity`, which is none (RFC 9110 §8.4). */
export function codingsIn(field: string | string[] | undefined): readonly string[] {
  if (field === undefined) return []
  return String(field)
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
}
