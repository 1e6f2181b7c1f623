/** Writes POSIX ustar archives: regular files only, the same bytes for the same files. */

const block = 512

/** Files in their order, as one archive. `time`: epoch ms, of all of them. Throws RangeError for a path that ustar cannot hold. */
export function writeTar(files: ReadonlyMap<string, Uint8Array>, time: number): Buffer {
  const pieces: Uint8Array[] = []
  for (const [path, bytes] of files) {
    pieces.push(header(path, bytes.length, time), bytes)
    const over = bytes.length % block
    if (over > 0) pieces.push(Buffer.alloc(block - over))
  }
  pieces.push(Buffer.alloc(block * 2))
  return Buffer.concat(pieces)
}

function header(path: string, size: number, time: number): Buffer {
  const bytes = Buffer.alloc(block)
  const [prefix, name] = split(path)
  bytes.write(name, 0, 'latin1')
  bytes.write(octal(0o644, 7), 100)
  bytes.write(octal(0, 7), 108)
  bytes.write(octal(0, 7), 116)
  bytes.write(octal(size, 11), 124)
  bytes.write(octal(Math.floor(time / 1000), 11), 136)
  bytes.write('        ', 148)
  bytes.write('0', 156)
  bytes.write('ustar\u000000', 257)
  bytes.write(prefix, 345, 'latin1')
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${octal(sum, 6)}\u0000 `, 148)
  return bytes
}

/** A path in the two fields that ustar has for it. */
function split(path: string): readonly [prefix: string, name: string] {
  if (!/^[\w./@+-]+$/.test(path)) throw new RangeError(`${JSON.stringify(path)} is no path of an archive`)
  if (path.length <= 100) return ['', path]
  const cut = path.indexOf('/', path.length - 101)
  if (cut < 1 || cut > 155) throw new RangeError(`${path} is too long for an archive`)
  return [path.slice(0, cut), path.slice(cut + 1)]
}

function octal(value: number, digits: number): string {
  const text = value.toString(8).padStart(digits, '0')
  if (text.length > digits) throw new RangeError('too large for an archive')
  return text
}
