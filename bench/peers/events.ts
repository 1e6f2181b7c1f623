/**
 * An upstream that answers as a model does: twenty tokens as server-sent events, the first at once, each other 5 ms after the one before.
 * Each says when it was sent: nanoseconds of a clock that all processes of the machine share. Takes its port.
 */

import { createServer } from 'node:http'

const [port] = process.argv.slice(2).map(Number)
const tokens = 20
const pause = 5

createServer({ noDelay: true, keepAliveTimeout: 75_000 }, (_incoming, outgoing) => {
  outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  let sent = 0
  const send = (): void => {
    sent += 1
    outgoing.write(`data: {"at":"${process.hrtime.bigint()}","token":" word"}\n\n`)
    if (sent < tokens) return
    clearInterval(timer)
    outgoing.end('data: [DONE]\n\n')
  }
  const timer = setInterval(send, pause)
  outgoing.on('close', () => clearInterval(timer))
  send()
}).listen(port, '127.0.0.1')
