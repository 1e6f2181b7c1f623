import { unwatchFile, watchFile } from 'node:fs'
import { ConfigFault } from './findings.ts'
import { loadConfig, type Env, type Loaded } from './load.ts'

export interface ReloadOptions {
  readonly file: string
  readonly env: Env
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

/** Validate, wire, swap: watches a configuration file and swaps it in when it is good; a bad file keeps the old one. */
export function watchConfig(options: ReloadOptions): Reloading {
  let running: Promise<void> | null = null
  let again = false
  const attempt = async (): Promise<void> => {
    try {
      const loaded = loadConfig(options.file, options.env)
      await options.swap(loaded)
      options.done({ ok: true, loaded })
    } catch (error) {
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
  const onChange = (): void => void reload()
  watchFile(options.file, { interval: 1000, persistent: false }, onChange)
  return { reload, close: () => unwatchFile(options.file, onChange) }
}
