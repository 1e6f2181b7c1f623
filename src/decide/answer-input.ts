/** Builds what policy reads about an answer, as JSON text. What an upstream sent is quoted, capped and never cut. */

import { number, text, Members, type Cap } from './fragment.ts'
import { contextText, settingOf, standingText, toolText, whoText, type Seen, type Setting } from './input.ts'
import type { Decision } from './decide.ts'
import type { Answer, AnswerBody } from './response.ts'

const agent = (most: number, what: string): Cap => ({ most, what, fault: 'agent' })
const operator = (most: number, what: string): Cap => ({ most, what, fault: 'operator' })

const caps = {
  name: operator(256, 'a name'),
  method: agent(64, 'the method'),
  path: agent(2048, 'the path'),
  // not `operator`: those texts are remembered, and an upstream must not fill that memory
  header: agent(1024, 'a header of the answer'),
  headers: operator(64, 'the headers of an answer'),
  sample: agent(262_144, 'the sample of an answer'),
} as const

/**
 * Assembles the input of `countersign/response` (`rego/schemas/response.json`): closed, times in integer ms, facts as they are now.
 * Throws as `buildInput` does when a part passes its cap.
 */
export function buildAnswerInput({ question }: Decision, answer: Answer, seen: Seen, setting: Setting): string {
  const { call, caller, task, target } = question
  const asked = `"id":${text(call.id, caps.name)},"method":${text(call.method, caps.method)},"path":${text(call.address.path, caps.path)}`
  const headers = new Members(caps.headers)
  for (const [name, value] of answer.headers) headers.add(name, text(value, caps.header), caps.name)
  return (
    `{"v":1,"request":{${asked}},${whoText(standingText(caller, task), target, seen)},"tool":{"answer":"${target.tool.answer}",${toolText(target).slice(1)}` +
    `,"response":{"status":${number(answer.status, 'the status')},"headers":${headers.end()},"body":${bodyText(answer.body)}}` +
    `,"context":${contextText(seen, settingOf(question, setting))}}`
  )
}

function bodyText({ kind, parsed, sample, size, judged, truncated }: AnswerBody): string {
  return (
    `{"kind":"${kind}","size":${size === null ? 'null' : number(size, 'the size')},"judged":${judged},"truncated":${truncated}` +
    `${sample === null ? '' : `,"sample":${text(sample, caps.sample)}`}${parsed === undefined ? '' : `,"parsed":${JSON.stringify(parsed)}`}}`
  )
}
