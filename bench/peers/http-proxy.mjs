/** `http-proxy` as it is commonly used: keep-alive to the upstream, nothing else. Takes the upstream's port, its own, and where the package lies. */
import { Agent, createServer } from 'node:http'
import { createRequire } from 'node:module'

const [upstream, port, packages] = process.argv.slice(2)
const { createProxyServer } = createRequire(`${packages}/`)('http-proxy')
const proxy = createProxyServer({ target: `http://127.0.0.1:${upstream}`, agent: new Agent({ keepAlive: true, maxSockets: 256 }) })
proxy.on('error', (_error, _incoming, outgoing) => outgoing.destroy())

createServer({ noDelay: true, keepAliveTimeout: 75_000 }, (incoming, outgoing) => proxy.web(incoming, outgoing)).listen(
  Number(port),
  '127.0.0.1',
)
