import { linkSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serve } from '../../../src/admin/serve.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-serve-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const nothing = async (): Promise<void> => {}

describe('a port for people on a unix socket', () => {
  test('never takes the place of a file that is no socket, such as the state', async () => {
    const path = join(folder, 'state.db')
    writeFileSync(path, 'kept')
    await expect(serve({ path }, nothing)).rejects.toThrow('EADDRINUSE')
    expect(readFileSync(path, 'utf8')).toBe('kept')
  })

  test('never takes the place of a socket that another process answers on', async () => {
    const path = join(folder, 'admin.sock')
    const first = await serve({ path }, nothing)
    await expect(serve({ path }, nothing)).rejects.toThrow('EADDRINUSE')
    await first.close()
  })

  test('takes the place of a socket that a killed process left', async () => {
    const path = join(folder, 'admin.sock')
    const killed = createServer()
    await new Promise<void>((resolve) => killed.listen({ path }, resolve))
    linkSync(path, `${path}.kept`)
    await new Promise<void>((resolve) => killed.close(() => resolve()))
    renameSync(`${path}.kept`, path)
    const serving = await serve({ path }, nothing)
    await serving.close()
  })
})
