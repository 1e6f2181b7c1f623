import { destination, pino } from 'pino'
import { flushCompileCache } from 'node:module'
import { setTimeout as wait } from 'node:timers/promises'
import { ConfigFault } from '../config/findings.ts'
import { loadConfig, type Loaded } from '../config/load.ts'
import { watchConfig } from '../config/reload.ts'
import { stampOf } from '../config/stamp.ts'
import type { Foundation, Log } from '../foundation.ts'
import { collect } from '../rehearsal/collect.ts'
import { rehearse } from '../rehearsal/rehearsal.ts'
import { openSidecar, type Sidecar } from '../sidecar.ts'
import { exit, mayColour, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

/** `countersign start`: the proxy with a configuration, or the demonstration on embedded defaults. */
export const start: Command = {
  usage: `usage: countersign start [--config FILE] [--once]

With --config the proxy runs until SIGTERM or SIGINT, then drains. The file is read again when it changes and on SIGHUP;
a bad one is reported and the one before stays in force.

Without it a small company is set up in a fresh temporary folder: a development trust domain, three APIs that check their
credentials, two agents and the default policy. Their calls are told on the terminal step by step; then it stays up. One call asks
a person: on a terminal that is you, and after half a minute, or without a terminal, the story answers itself.

  --config FILE   configuration (see: countersign check, countersign schema)
  --once          end after the story: exit 0 when every step was as told, else 1

exit status: 0, 1 a step was not as told, 64 wrong usage, 69 a port or file could not be had, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, { config: { type: 'string' }, once: { type: 'boolean' } })
    if (positionals.length > 0) throw new UsageFault('start takes no arguments')
    if (values.config !== undefined && values.once === true) throw new UsageFault('--once goes with the demonstration, not with --config')
    if (values.config !== undefined) return serve(values.config, invocation)
    const { stdin, stdout, signal } = invocation
    // the story brings a server of gRPC and much else that a proxy has no use for
    const [{ demonstrate }, { askOnTerminal }] = await Promise.all([import('../demo/demonstrate.ts'), import('../demo/terminal.ts')])
    const attended = values.once !== true && stdin.isTTY === true && stdout.isTTY === true
    // of what the log warns, such as a kill, the story tells
    return demonstrate({
      once: values.once === true,
      colour: mayColour(invocation),
      print: (text) => stdout.write(`${text}\n`),
      ask: attended ? askOnTerminal({ input: stdin, output: stdout, patience: 30_000 }) : null,
      signal,
      open: (loaded) =>
        openSidecar(loaded, { env: invocation.env, log: pino({ level: 'error' }, destination(2)), version: invocation.version }),
    })
  },
}

/** Runs a configuration until a signal, then drains. */
async function serve(file: string, { env, stderr, signal, version, onHangup }: Invocation): Promise<number> {
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination(2))
  const seen = stampOf(file)
  let loaded: Loaded
  try {
    loaded = loadConfig(file, env)
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error
    stderr.write(`${error.message}\n`)
    return exit.config
  }
  tell(loaded, log)
  let sidecar: Sidecar
  try {
    sidecar = await openSidecar(loaded, { env, log, version, rehearse: (on) => prepare(loaded, on, signal) })
  } catch (error) {
    log.fatal({ err: error }, 'Countersign cannot start')
    return exit.unavailable
  }
  log.info({ ports: Object.fromEntries(sidecar.ports), ledger: sidecar.ledger.folder, key: sidecar.ledger.key }, 'Countersign is up')
  const reloading = watchConfig({
    file,
    env,
    seen,
    watched: loaded.watched,
    swap: (next) => sidecar.reload(next),
    done: (result) => {
      sidecar.reloaded(result.ok)
      if (result.ok) tell(result.loaded, log)
      else log.error({ file, why: result.why }, 'the new configuration was not taken; the one before stays in force')
    },
  })
  onHangup(() => void reloading.reload())
  await ended(signal)
  log.info({ signal: String(signal.reason) }, 'draining')
  reloading.close()
  await sidecar.close()
  log.info({}, 'Countersign has ended')
  return exit.ok
}

/** Has the path used before agents may use it, and what was compiled for that kept for the next start. */
async function prepare(loaded: Loaded, on: Foundation, signal: AbortSignal): Promise<void> {
  const ms = loaded.config.listen.rehearsal
  const began = performance.now()
  if (ms > 0) {
    const answers = await rehearse(loaded, on, { ms, signal })
    on.log.info({ answers: Object.fromEntries(answers), ms: Math.round(performance.now() - began) }, 'the path was rehearsed')
  }
  flushCompileCache()
  collect()
}

/** What `check` remarks of a configuration that can be used. */
function tell({ findings, placeholders }: Loaded, log: Pick<Log, 'warn'>): void {
  for (const { code, file, line, path, message } of [...findings, ...placeholders])
    log.warn({ code, ...(file !== undefined && { file }), line, path }, message)
}

/** Resolves when the signal aborts; holds the process open until then. */
async function ended(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await wait(3_600_000, undefined, { signal }).catch(() => {})
}
