/** HTTP/1.1 on a plain socket, as much as a rehearsal needs of it: messages whose body has a length. */

import type { Socket } from 'node:net'

const end = '\r\n\r\n'

/** Calls with head and body of each whole message that comes. What has no length has no body. */
export function onMessages(socket: Socket, message: (head: string, body: string) => void): void {
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (part: string) => {
    text += part
    for (let at = text.indexOf(end); at !== -1; at = text.indexOf(end)) {
      const head = text.slice(0, at)
      const whole = at + end.length + lengthOf(head)
      if (text.length < whole) return
      const body = text.slice(at + end.length, whole)
      text = text.slice(whole)
      message(head, body)
    }
  })
  // a connection that breaks ends what was to come on it
  socket.on('error', () => undefined)
}

function lengthOf(head: string): number {
  return Number(/\r\ncontent-length: *(\d{1,9})/i.exec(head)?.[1] ?? 0)
}

/** A message as text: its first line, its headers and its body, in ASCII. */
export function messageOf(first: string, headers: Readonly<Record<string, string>>, body = ''): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = body === '' && !first.startsWith('HTTP/') ? '' : `content-length: ${body.length}\r\n`
  return `${first}\r\n${lines.join('')}${length}\r\n${body}`
}
