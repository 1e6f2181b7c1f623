import { statSync } from 'node:fs'
import { ConfigFault } from './findings.ts'
import { loadConfig, type Env, type Loaded } from './load.ts'

export interface ReloadOptions {
  readonly file: string
  readonly env: Env
  /** `stampOf` the file before it was read the first time: what changed it since then is seen. */
  readonly seen: string
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

/** Tells one state of a file from another; a symlink's is that of the file it leads to. */
export function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file)
    return `${dev}:${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  }
}

/** Validate, wire, swap: watches a configuration file and swaps it in when it is good; a bad file keeps the old one. */
export function watchConfig(options: ReloadOptions): Reloading {
  let running: Promise<void> | null = null
  let again = false
  /** Of what was last read, or is about to be. */
  let { seen } = options
  const attempt = async (): Promise<void> => {
    seen = stampOf(options.file)
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
  const timer = setInterval(() => {
    if (stampOf(options.file) !== seen) void reload()
  }, interval).unref()
  return { reload, close: () => clearInterval(timer) }
}
