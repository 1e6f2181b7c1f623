/**
 * Fills `compiled`, beside `dist`, with what Node compiles of the bundled program while it tells its demonstration, so that the first start
 * of an image is as short as later ones. `node scripts/compiled.ts UID`, as root: Node looks for what the user that it runs as had
 * compiled. What comes of it belongs to root and can be written by nobody else. Flags of the engine must be those of the image.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const uid = Number(process.argv[2])
if (!Number.isInteger(uid) || uid < 0) throw new Error('usage: node scripts/compiled.ts UID')

const folder = join(root, 'compiled')
const work = mkdtempSync(join(tmpdir(), 'compiled-'))
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)
for (const each of [folder, work]) chownSync(each, uid, uid)
const env = { PATH: process.env['PATH'], NODE_OPTIONS: process.env['NODE_OPTIONS'], TMPDIR: work, NODE_COMPILE_CACHE: folder }
const told = spawnSync(process.execPath, [join(root, 'dist/main.js'), 'start', '--once'], { env, uid, gid: uid, stdio: 'inherit' })
rmSync(work, { recursive: true, force: true })
if (told.status !== 0) throw new Error(`the demonstration ended with ${told.status ?? told.signal}`)

chownSync(folder, 0, 0)
chmodSync(folder, 0o555)
for (const made of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  const path = join(made.parentPath, made.name)
  chownSync(path, 0, 0)
  chmodSync(path, made.isDirectory() ? 0o555 : 0o444)
}
