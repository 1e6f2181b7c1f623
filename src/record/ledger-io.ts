/** The few file calls that writing a ledger rests on; tests hand in ones that fail. */

import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs'

export interface LedgerIo {
  open(path: string, flags: string): number
  /** Bytes written, which may be fewer than asked. */
  write(fd: number, bytes: Uint8Array, offset: number, length: number): number
  /** Off the event loop. */
  sync(fd: number, done: (error: Error | null) => void): void
  syncNow(fd: number): void
  truncate(fd: number, size: number): void
  close(fd: number): void
  unlink(path: string): void
}

export const diskIo: LedgerIo = {
  open: (path, flags) => openSync(path, flags, 0o600),
  write: (fd, bytes, offset, length) => writeSync(fd, bytes, offset, length),
  sync: (fd, done) => fdatasync(fd, done),
  syncNow: (fd) => fsyncSync(fd),
  truncate: (fd, size) => ftruncateSync(fd, size),
  close: (fd) => closeSync(fd),
  unlink: (path) => unlinkSync(path),
}
