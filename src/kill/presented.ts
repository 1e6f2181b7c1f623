/** What the credential slots of a call hold, as digests: a secret that was lent is found by them, and none is kept. */
import { hash } from 'node:crypto'
import { credentialSlots } from '../identify/slots.ts'

const slots: ReadonlySet<string> = new Set(credentialSlots)
/** Shorter texts are no secrets of ours, longer ones no credentials. */
const shortest = 8
const longest = 8192
const mostTexts = 16

/** Takes the flat header list of a call; gives `sha256:…` of each text that might be a credential: values, what follows a scheme, Basic passwords. */
export function presentedSecrets(headers: readonly string[]): readonly string[] {
  const texts = new Set<string>()
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (!slots.has(headers[at] ?? '')) continue
    const value = headers[at + 1] ?? ''
    const rest = value.slice(value.indexOf(' ') + 1).trim()
    texts.add(value).add(rest)
    const pair = Buffer.from(rest, 'base64').toString('latin1')
    if (pair.includes(':')) texts.add(pair.slice(pair.indexOf(':') + 1))
  }
  return [...texts]
    .filter(({ length }) => length >= shortest && length <= longest)
    .slice(0, mostTexts)
    .map((text) => `sha256:${hash('sha256', text)}`)
}
