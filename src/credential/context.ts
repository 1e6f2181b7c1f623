import type { Decision } from '../decide/decide.ts'
import { digestOfText } from './digest.ts'

/**
 * What a permit rests on, as far as it may change while a lease lives, as `sha256:…`: the policy revision, what has been read by the task and
 * stays with its caller, and the registration of the agent as it stands. While it is the same, a lease may be renewed.
 */
export function contextOf({ revision, question, facts }: Pick<Decision, 'revision' | 'question' | 'facts'>): string {
  const { agent } = question.task
  const read = [...facts.task.sensitivity].toSorted()
  const known = Object.keys(facts.caller.sensitivity).toSorted()
  return digestOfText(JSON.stringify([revision, read, known, agent]))
}
