#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { AdminFault } from './cli/admin-client.ts'
import { commands } from './cli/commands.ts'
import { exit, UsageFault, type Invocation } from './cli/command.ts'
import { useCompileCache } from './cli/compile-cache.ts'
import { ConfigFault } from './config/findings.ts'

/** argv, signals, exit code: the only reader of process.argv and process.env. */
async function main(): Promise<number> {
  const [name = 'help', ...args] = process.argv.slice(2)
  if (name === 'version' || name === '--version') {
    process.stdout.write(`${version()}\n`)
    return exit.ok
  }
  const asked = name === 'help' ? args[0] : name
  if (asked === undefined || asked === '--help' || asked === '-h') {
    process.stdout.write(`${overview()}\n`)
    return exit.ok
  }
  const listed = commands.find((candidate) => candidate.name === asked)
  if (!listed) {
    process.stderr.write(`countersign: no command "${asked}"\n\n${overview()}\n`)
    return exit.usage
  }
  const command = await listed.load()
  const usage = (await command.usageOf?.(name === 'help' ? args.slice(1) : args)) ?? command.usage
  if (name === 'help' || args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`)
    return exit.ok
  }
  try {
    return await command.run(invocation(args))
  } catch (error) {
    if (error instanceof UsageFault) {
      process.stderr.write(`countersign ${name}: ${error.message}\n\n${usage}\n`)
      return exit.usage
    }
    if (error instanceof AdminFault || error instanceof ConfigFault) {
      process.stderr.write(`countersign ${name}: ${error.message}\n`)
      return statusOf(error)
    }
    throw error
  }
}

/** What a command could not do, for scripts: nobody answered, the answer was no, or a configuration that cannot be used. */
function statusOf(error: AdminFault | ConfigFault): number {
  if (error instanceof ConfigFault) return exit.config
  return error.status === null ? exit.unavailable : exit.findings
}

function invocation(args: readonly string[]): Invocation {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort(signal))
  const { env, stdin, stdout, stderr } = process
  return {
    args,
    env,
    stdin,
    stdout,
    stderr,
    signal: stop.signal,
    onHangup: (listener) => process.on('SIGHUP', listener),
    version: version(),
  }
}

function overview(): string {
  const width = Math.max(...commands.map((command) => command.name.length))
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`)
  return `usage: countersign COMMAND\n\n${lines.join('\n')}\n\ncountersign help COMMAND tells more of each.`
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return manifest !== null && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown'
}

// a closed pipe (`countersign logs | head`) is an end, not an error
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exit.ok : exit.internal))
process.on('uncaughtException', (error) => {
  process.stderr.write(`countersign: ${error.stack ?? error.message}\n`)
  process.exit(exit.internal)
})
// a command is imported after this, and with it nearly all there is to compile
useCompileCache(process.env)
process.exitCode = await main()
