import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getuid, platform } from 'node:process'

/** A file system of 8 MiB of its own. */
export class SmallDisk implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'countersign-disk-'))

  constructor() {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', this.folder], { stdio: 'pipe' })
  }

  /** Leaves not a page. */
  fill(): void {
    for (const size of [1 << 20, 1 << 16, 1 << 12]) {
      for (let at = 0; at < 1000; at++) {
        try {
          writeFileSync(join(this.folder, `ballast.${size}.${at}`), Buffer.alloc(size), { flag: 'wx' })
        } catch {
          rmSync(join(this.folder, `ballast.${size}.${at}`), { force: true })
          break
        }
      }
    }
  }

  free(): void {
    for (const name of readdirSync(this.folder)) if (name.startsWith('ballast.')) rmSync(join(this.folder, name))
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.folder])
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Whether this machine lets us have one: Linux, root, and `mount -t tmpfs` works. */
  static mountable(): boolean {
    if (platform !== 'linux' || getuid?.() !== 0) return false
    try {
      new SmallDisk()[Symbol.dispose]()
      return true
    } catch {
      return false
    }
  }
}
