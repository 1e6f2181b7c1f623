/**
 * Makes the program that the image has: all of it, what it depends on included, in few files. A start reads a dozen files instead of
 * 660. `node scripts/bundle.ts FOLDER` (default: dist); the folder must lie beside `rego` and `package.json`, as `dist` does. Not for
 * the package, whose dependencies are its users' to renew.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { rolldown, type Plugin } from 'rolldown'

const root = resolve(import.meta.dirname, '..')
const source = join(root, 'src')

/** The program, and the threads that it starts by the names of their files. */
export const entries = ['main', 'decide/trying', 'decide/watching', 'decide/source/reading', 'author/desk-thread']

/** Files that a source finds by its own place are found by the place that it would have had in `dist`: all chunks lie at its top. */
const places: Plugin = {
  name: 'places',
  transform(code, id) {
    if (!id.startsWith(source) || !code.includes('import.meta.url')) return null
    const place = JSON.stringify(relative(source, id).replace(/\.ts$/, '.js'))
    return { code: code.replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`), map: null }
  },
}

/**
 * An `import` of node:http names all that it exports, and among that is a WebSocket whose getter loads a second HTTP client, 35 ms of a
 * start, which nobody asked for. Node hands out the module itself without.
 */
const builtin: Plugin = {
  name: 'builtin',
  resolveId: (id) => (id === 'node:http' || id === 'http' ? '\0http' : null),
  load: (id) => (id === '\0http' ? { code: "module.exports = process.getBuiltinModule('node:http')", moduleType: 'js' } : null),
}

/** Bundles the program into a folder, which is emptied first. */
export async function bundle(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const input = Object.fromEntries(entries.map((name) => [name, join(source, `${name}.ts`)]))
  const made = await rolldown({ input, platform: 'node', external: [/^node:(?!http$)/, '@grpc/grpc-js'], plugins: [places, builtin] })
  await made.write({ dir: folder, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' })
  await made.close()
}

if (import.meta.main) await bundle(resolve(process.argv[2] ?? join(root, 'dist')))
