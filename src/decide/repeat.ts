/** The digest that tells a repeated call. */

import { hash } from 'node:crypto'
import type { Question } from './decide.ts'

/** Question → its digest. Written here only; a question is read twice, by policy and when its permit is minted. */
const known = new WeakMap<Question, string>()

/** 128 bits, base64url, over tool, method, target and body digest: two calls with the same one are the same call made again. */
export function repeatDigest(question: Question): string {
  let digest = known.get(question)
  if (digest === undefined) {
    const { call, target } = question
    digest = hash('sha256', `${target.tool.name}\0${call.method}\0${call.address.target}\0${target.body.sha256 ?? ''}`, 'base64url').slice(
      0,
      22,
    )
    known.set(question, digest)
  }
  return digest
}
