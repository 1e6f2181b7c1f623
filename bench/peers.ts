/** What Countersign is measured beside. Each gives null when what it takes is not installed. */

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credential, startEnvoyOpa } from './opa.ts'
import { program, runEnvoy, type Setting } from './programs.ts'
import { freePort, start } from './started.ts'
import { fill, root, type Target, type TargetName } from './targets.ts'

type Open = (setting: Setting) => Promise<Target | null>

export const peers: Readonly<Partial<Record<TargetName, Open>>> = {
  direct: async ({ upstream }) => ({ name: 'direct', processes: [], port: upstream, judges: false, lends: false }),
  nginx: startNginx,
  envoy: startEnvoy,
  'bare undici': startBare,
  'http-proxy': startHttpProxy,
  'envoy + opa': (setting) => startEnvoyOpa(setting, 'envoy + opa'),
  'envoy + opa no-op': (setting) => startEnvoyOpa(setting, 'envoy + opa no-op'),
  agentgateway: startAgentgateway,
  'iron-proxy': startIronProxy,
}

async function startNginx({ bench, upstream }: Setting): Promise<Target> {
  const port = await freePort()
  const conf = fill(bench, 'nginx.conf', { PORT: port, UPSTREAM: upstream })
  const started = await start(bench, 'nginx', bench.proxyCore, port, ['nginx', '-c', conf])
  return { name: 'nginx', processes: [started], port, judges: false, lends: false }
}

async function startEnvoy({ bench, upstream }: Setting): Promise<Target | null> {
  const port = await freePort()
  const conf = fill(bench, 'envoy.yaml', { PORT: port, UPSTREAM: upstream })
  const started = await runEnvoy(bench, 'envoy', port, conf)
  return started && { name: 'envoy', processes: [started], port, judges: false, lends: false }
}

async function startBare({ bench, upstream }: Setting): Promise<Target> {
  const port = await freePort()
  const command = [process.execPath, join(root, 'bench/peers/bare.ts'), String(upstream), String(port)]
  const started = await start(bench, 'bare', bench.proxyCore, port, command)
  return { name: 'bare undici', processes: [started], port, judges: false, lends: false }
}

async function startHttpProxy({ bench, upstream }: Setting): Promise<Target | null> {
  const packages = join(root, '.engines/http-proxy')
  if (!existsSync(join(packages, 'node_modules/http-proxy'))) return null
  const port = await freePort()
  const command = [process.execPath, join(root, 'bench/peers/http-proxy.mjs'), String(upstream), String(port), packages]
  const started = await start(bench, 'http-proxy', bench.proxyCore, port, command)
  return { name: 'http-proxy', processes: [started], port, judges: false, lends: false }
}

async function startAgentgateway({ bench, upstream, callers }: Setting): Promise<Target | null> {
  const binary = program('agentgateway')
  if (binary === null) return null
  const [port, admin, stats, ready] = [await freePort(), await freePort(), await freePort(), await freePort()]
  writeFileSync(join(bench.folder, 'agentgateway-jwks.json'), callers.jwks)
  const places = { PORT: port, UPSTREAM: upstream, ADMIN: admin, STATS: stats, READY: ready, KEY: credential }
  const conf = fill(bench, 'agentgateway.yaml', places)
  const started = await start(bench, 'agentgateway', bench.proxyCore, port, [binary, '-f', conf], { WORKER_THREADS: '1', CPU_LIMIT: '1' })
  return { name: 'agentgateway', processes: [started], port, judges: true, lends: true }
}

async function startIronProxy({ bench, upstream, callers }: Setting): Promise<Target | null> {
  const binary = program('iron-proxy')
  if (binary === null) return null
  const [port, tls, metrics] = [await freePort(), await freePort(), await freePort()]
  const [token = ''] = await callers.tokens(1)
  const conf = fill(bench, 'iron-proxy.yaml', { PORT: port, TLS: tls, METRICS: metrics, TOKEN: token })
  const started = await start(bench, 'iron-proxy', bench.proxyCore, port, [binary, '-config', conf], {
    BENCH_KEY: credential,
    GOGC: '800',
  })
  return { name: 'iron-proxy', processes: [started], port, judges: false, lends: true, host: `127.0.0.1:${upstream}` }
}
