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
