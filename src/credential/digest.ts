import { createHash } from 'node:crypto'
import type { Secret } from '../secret.ts'

type Parts = Readonly<Record<string, Secret>> | undefined

/** `sha256:` and lower-case hex of a credential: names it without telling it. With parts, of the JSON text of `[secret, [[name, part], …]]`, sorted by name. */
export function digestOf(secret: Secret, parts?: Parts): string {
  const text = secret.reveal()
  if (parts === undefined) return digestOfText(text)
  const named = Object.keys(parts)
    .toSorted()
    .map((name) => [name, parts[name]?.reveal()])
  return digestOfText(JSON.stringify([text, named]))
}

/** Every digest by which a lease is found: its own, and that of each secret text in it, for whoever presents one presents it alone. */
export function digestsOf(digest: string, secret: Secret, parts?: Parts): readonly string[] {
  return [...new Set([digest, ...[secret, ...Object.values(parts ?? {})].map((one) => digestOfText(one.reveal()))])]
}

/** `sha256:` and lower-case hex of the UTF-8 of a text. */
export function digestOfText(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
