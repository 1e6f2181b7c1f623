import { stampOf } from '../config/stamp.ts'
import type { Log } from '../foundation.ts'
import { readSettings, type InjectSettings } from './settings.ts'

/** Settings as their file has them now. A file that cannot be used is told once, and what was before stays. Throws at first. */
export function settingsOf(file: string, log: Pick<Log, 'info' | 'error'>): () => InjectSettings {
  let seen = stampOf(file)
  let current = readSettings(file)
  return () => {
    const stamp = stampOf(file)
    if (stamp === seen) return current
    seen = stamp
    try {
      current = readSettings(file)
      log.info({ file, image: current.image }, 'the settings were read again')
    } catch (error) {
      log.error({ why: error instanceof Error ? error.message : 'unknown' }, 'the new settings cannot be used; those before stay in force')
    }
    return current
  }
}
