import { ConfigFault } from './findings.ts'
import { loadConfig, type Loaded } from './load.ts'
import { stampOf, stampOfPath } from './stamp.ts'
import type { Env } from './yaml-text.ts'

export interface ReloadOptions {
  readonly file: string
  readonly env: Env
  /** `stampOf` the file before it was read the first time: what changed it since then is seen. */
  readonly seen: string
  /** What was read with it: included files, the folder of agents. */
  readonly watched?: Loaded['watched']
  /** Wires a checked configuration and swaps it in; when it throws, the old one stays. */
  readonly swap: (loaded: Loaded) => Promise<void>
  /** Told of every attempt. */
  readonly done: (result: { readonly ok: true; readonly loaded: Loaded } | { readonly ok: false; readonly why: string }) => void
}

export interface Reloading {
  /** Reloads now; attempts never overlap, and a change during one starts another. */
  reload(): Promise<void>
  close(): void
}

const interval = 1000

/**
 * Validate, wire, swap: watches a configuration file, and the files and folders that it names, and swaps it in when it is good; a bad
 * one keeps the old one.
 */
export function watchConfig(options: ReloadOptions): Reloading {
  let running: Promise<void> | null = null
  let again = false
  /** Of what was last read, or is about to be. */
  let { seen, watched = [] } = options
  const attempt = async (): Promise<void> => {
    seen = stampOf(options.file)
    try {
      const loaded = loadConfig(options.file, options.env)
      watched = loaded.watched
      await options.swap(loaded)
      options.done({ ok: true, loaded })
    } catch (error) {
      // what is wrong may be mended there
      if (error instanceof ConfigFault && error.watched.length > 0) watched = error.watched
      options.done({ ok: false, why: error instanceof ConfigFault || error instanceof Error ? error.message : String(error) })
    }
  }
  const reload = async (): Promise<void> => {
    if (running) {
      again = true
      return running
    }
    running = (async () => {
      do {
        again = false
        await attempt()
      } while (again)
    })()
    try {
      await running
    } finally {
      running = null
    }
  }
  // stat polling, not inotify: mounted ConfigMaps swap a symlink, which events on the file itself miss
  const timer = setInterval(() => {
    if (stampOf(options.file) !== seen || watched.some(({ path, stamp }) => stampOfPath(path) !== stamp)) void reload()
  }, interval).unref()
  return { reload, close: () => clearInterval(timer) }
}
