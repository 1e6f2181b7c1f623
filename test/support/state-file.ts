import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folders: string[] = []

/** Where a state may be, in a folder of its own. */
export function stateFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-lease-'))
  folders.push(folder)
  return join(folder, 'state.db')
}

/** For after each test. */
export function removeStateFiles(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
}
