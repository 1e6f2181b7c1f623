/** The policy compiler `opa`: where it is, how to get it, and how it is asked. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Something an author gave that cannot be used; the message says what to do. */
export class AuthorFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AuthorFault'
  }
}

/** There is no compiler; the message says how to get it. */
export class OpaMissing extends AuthorFault {
  constructor(message: string) {
    super(message)
    this.name = 'OpaMissing'
  }
}

export const howToGetOpa = `This starts from Rego source, which only the compiler opa can read. Get it with one of
  go install github.com/open-policy-agent/opa@v1.22.2
  brew install opa
  https://github.com/open-policy-agent/opa/releases
and have it on the PATH, or name it in the variable OPA. A built bundle (opa build) needs no opa here.`

const packageRoot = new URL('../../', import.meta.url)

/** Finds the compiler: the variable OPA, what `npm run engines` installed, the PATH. Throws OpaMissing that says how to get it. */
export function findOpa(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['OPA']
  const places = named === undefined || named === '' ? [fileURLToPath(new URL('.engines/bin/opa', packageRoot)), 'opa'] : [named]
  const found = places.find((place) => spawnSync(place, ['version'], { env }).status === 0)
  if (found === undefined) throw new OpaMissing(named === undefined ? howToGetOpa : `${named} (OPA) does not run. ${howToGetOpa}`)
  return found
}

/** What the compiler said. */
export interface OpaAnswer {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
}

const mostSaid = 64 * 1024 * 1024

/** Runs the compiler in a folder, so that it names files as they are there. */
export function runOpa(opa: string, args: readonly string[], cwd: string): OpaAnswer {
  const { status, stdout, stderr, error } = spawnSync(opa, args, { cwd, encoding: 'utf8', maxBuffer: mostSaid })
  if (error !== undefined) throw new AuthorFault(`${opa} does not run: ${error.message}`, { cause: error })
  return { ok: status === 0, stdout, stderr }
}
