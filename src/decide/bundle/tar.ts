/** The files of an uncompressed tar archive: plain files and folders only, nothing repeated, nothing outside. */

const block = 512
export const mostEntries = 1000

/**
 * Reads a POSIX ustar archive. Gives path → bytes, without a leading `/` or `./`; the bytes are views into `archive`.
 * Throws an Error that names the entry: links, devices, extended headers, repeated or climbing names, a wrong checksum, a cut file.
 */
export function readTar(archive: Uint8Array, most = mostEntries): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  let at = 0
  let entries = 0
  while (at + block <= archive.length) {
    const header = archive.subarray(at, at + block)
    at += block
    if (header.every((byte) => byte === 0)) break
    if (++entries > most) throw new Error(`more than ${most} entries`)
    const path = pathOf(header)
    checkSum(header, path)
    const size = octal(header, 124, 12, path)
    const kind = String.fromCharCode(header[156] ?? 0)
    if (kind === '5' && size === 0) continue
    if (kind !== '0' && kind !== '\0') throw new Error(`${path}: neither a plain file nor a folder`)
    if (at + size > archive.length) throw new Error(`${path}: cut short`)
    if (files.has(path)) throw new Error(`${path}: there twice`)
    files.set(path, archive.subarray(at, at + size))
    at += Math.ceil(size / block) * block
  }
  if (archive.subarray(at).some((byte) => byte !== 0)) throw new Error('bytes after the end')
  return files
}

function pathOf(header: Uint8Array): string {
  const name = field(header, 0, 100)
  const ustar = field(header, 257, 6) === 'ustar'
  const prefix = ustar ? field(header, 345, 155) : ''
  const path = (prefix === '' ? name : `${prefix}/${name}`).replace(/^(?:\.?\/)+/, '').replace(/\/$/, '')
  if (path !== '' && !isPolicyPath(path)) throw new Error(`${JSON.stringify(path)}: not a path of a policy file`)
  return path
}

/** Whether a path stays inside, in plain letters: pieces of which none is empty, `.` or `..`. */
export function isPolicyPath(path: string): boolean {
  return /^[\w./@+-]+$/.test(path) && path.split('/').every((piece) => piece !== '' && piece !== '.' && piece !== '..')
}

function field(header: Uint8Array, start: number, length: number): string {
  const bytes = header.subarray(start, start + length)
  const end = bytes.indexOf(0)
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString('latin1')
}

function octal(header: Uint8Array, start: number, length: number, path: string): number {
  const text = field(header, start, length).trim()
  if (!/^[0-7]{1,11}$/.test(text)) throw new Error(`${path}: a number of its header is not octal`)
  return Number.parseInt(text, 8)
}

/** The sum of the header's bytes, its own field counted as spaces. */
function checkSum(header: Uint8Array, path: string): void {
  let sum = 0
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte
  if (octal(header, 148, 8, path) !== sum) throw new Error(`${path}: a header whose checksum is wrong`)
}
