/** What an exchange does to the agent's response besides writing its body. */
import type { Call } from '../listen/call.ts'
import type { Head } from './respond.ts'

/** False when Node refuses a field of it; nothing was written then. */
export function writeHead(call: Call, head: Head): boolean {
  // RFC 7240 §3: a client may ask for more than is honoured
  const list = call.preference === undefined ? head.list : [...head.list, 'Preference-Applied', call.preference]
  try {
    if (head.phrase === null) call.outgoing.writeHead(head.status, list)
    else call.outgoing.writeHead(head.status, head.phrase, list)
    return true
  } catch {
    return false
  }
}

/** Sends a head whose body does not come yet. */
export function flushHead(call: Call): void {
  const { outgoing } = call
  if (!outgoing.destroyed && !outgoing.writableEnded) outgoing.flushHeaders()
}

/** Bytes queued towards the agent before the upstream is paused: pausing per chunk costs a fifth of the throughput. */
const queueLimit = 256 * 1024
/** A body of at most this many bytes goes out with its head; beyond it copying costs more than a second piece. */
const oneWrite = 8 * 1024

/** Writes the next pieces of a body; `last`: it ends with them. False when the agent does not keep up. */
export function writeBody({ outgoing }: Call, pieces: readonly Buffer[], last: boolean): boolean {
  const [piece] = pieces
  if (piece === undefined || pieces.length > 1) return writeMany(outgoing, pieces, last)
  if (last) {
    // head and body as one text are one write of one piece; as text and bytes they are two
    if (piece.length <= oneWrite) outgoing.end(piece.toString('latin1'), 'latin1')
    else outgoing.end(piece)
    return true
  }
  return piece.length === 0 || outgoing.write(piece) || outgoing.writableLength <= queueLimit
}

/** Corked, so that they are one write. */
function writeMany(outgoing: Call['outgoing'], pieces: readonly Buffer[], last: boolean): boolean {
  outgoing.cork()
  for (const piece of pieces) if (piece.length > 0) outgoing.write(piece)
  if (last) outgoing.end()
  outgoing.uncork()
  return last || outgoing.writableLength <= queueLimit
}

/**
 * Ends the agent's connection so that a part of an answer is never taken for the whole: a body that only the end
 * of the connection ends is reset. The socket is taken from the request, since an answer that waits for an earlier one has none.
 */
export function sever(call: Call, head: Head | null): void {
  const { outgoing } = call
  if (outgoing.destroyed) return
  const { socket } = call.incoming
  const open = head !== null && head.length === null && !outgoing.chunkedEncoding
  if (open && socket.localPort !== undefined && !('encrypted' in socket)) socket.resetAndDestroy()
  outgoing.destroy()
  socket.destroy()
}
