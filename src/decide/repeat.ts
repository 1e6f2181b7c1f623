/** The digest that tells a repeated call. */

import { hash } from 'node:crypto'
import type { Question } from './decide.ts'

/** The last question and its digest: policy and the mint ask in one tick. Written here only. */
let last: Question | null = null
let known = ''

/** 128 bits, base64url, over tool, method, target and body digest: two calls with the same one are the same call made again. */
export function repeatDigest(question: Question): string {
  if (question === last) return known
  const { call, target } = question
  const named = `${target.tool.name}\0${call.method}\0${call.address.target}\0${target.body.sha256 ?? ''}`
  known = hash('sha256', named, 'base64url').slice(0, 22)
  last = question
  return known
}
