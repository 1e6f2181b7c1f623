import { askJson, findAdmin } from '../cli/admin-client.ts'
import type { Company } from './company.ts'

/** The one person of the company, at the admin port: signs each request with a key pair of her own, as the command line does. */
export interface Person {
  readonly name: string
  /** What is put behind each command to do the same by hand. */
  readonly flags: string
  get(path: string): Promise<unknown>
  act(path: string, body: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>>
}

/** Takes the company and the port of its admin API. */
export async function atTheDesk({ person }: Pick<Company, 'person'>, port: number): Promise<Person> {
  const { name, keyPair } = person
  const addr = `127.0.0.1:${port}`
  const access = await findAdmin({ addr, 'key-pair': keyPair }, {})
  return {
    name,
    flags: `--addr ${addr} --key-pair ${keyPair}`,
    get: (path) => askJson(access, 'GET', path),
    act: async (path, body) => recordOf(await askJson(access, 'POST', path, body)),
  }
}

/** An answer as a record; empty when it is none. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' ? { ...value } : {}
}
