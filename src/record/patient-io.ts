/** File calls that give a disk so long to make lines last: one that hangs turns calls away instead of holding them. */

import { diskIo, type LedgerIo } from './ledger-io.ts'

/** Longest wait for the disk to make a group of lines last, ms. */
const syncTime = 5000

/**
 * A sync that takes longer than `ms` has failed, whatever comes of it later. Until it is over the disk is left alone: every other call would
 * hang too, and on the event loop; so they fail at once, and a descriptor is closed once the sync that may still use it is done.
 */
export function patientIo(io: LedgerIo = diskIo, ms = syncTime): LedgerIo {
  let hanging = 0
  const toClose: number[] = []
  const answers = (): LedgerIo => {
    if (hanging > 0) throw tooLong()
    return io
  }
  const over = (): void => {
    hanging -= 1
    if (hanging > 0) return
    for (const fd of toClose.splice(0)) closeQuietly(io, fd)
  }
  return {
    open: (path, flags) => answers().open(path, flags),
    write: (fd, bytes, offset, length) => answers().write(fd, bytes, offset, length),
    syncNow: (fd) => answers().syncNow(fd),
    truncate: (fd, size) => answers().truncate(fd, size),
    unlink: (path) => answers().unlink(path),
    close: (fd) => (hanging > 0 ? void toClose.push(fd) : io.close(fd)),
    sync: (fd, done) => {
      if (hanging > 0) {
        setImmediate(() => done(tooLong()))
        return
      }
      let late = false
      const timer = setTimeout(() => {
        late = true
        hanging += 1
        done(tooLong())
      }, ms).unref()
      io.sync(fd, (error) => {
        clearTimeout(timer)
        if (late) over()
        else done(error)
      })
    },
  }
}

function tooLong(): Error {
  return Object.assign(new Error('the disk takes too long'), { code: 'ETIMEDOUT' })
}

/** What was written through it is taken back in any case. */
function closeQuietly(io: LedgerIo, fd: number): void {
  try {
    io.close(fd)
  } catch {
    // the descriptor is gone either way
  }
}
