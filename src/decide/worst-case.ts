/** The most expensive inputs that may come: lists, maps and texts at the caps of the input, none of which matches another, so that no rule can stop early. */

import type { Entrypoint } from './engine.ts'
import { mostInputText } from './input-text.ts'

/** What a judged body may be at its caps; together with the rest it fills the longest input, or nearly. */
const bodyText = mostInputText - 96 * 1024
/** As `match` bounds a judged body; a document past these is not judged. */
const [mostItems, mostMembers, longestText, deepest] = [8192, 1024, 65_536, 64]

/**
 * Inputs of one entrypoint, as JSON text: a judged document in each of the shapes that cost most. Made anew each time, they are large.
 * A part that an entrypoint does not have costs it nothing.
 */
export function* worstInputs(entrypoint: Entrypoint): Generator<string> {
  if (entrypoint === 'countersign/task') {
    yield JSON.stringify(openedTask())
    return
  }
  const head = JSON.stringify(entrypoint.startsWith('system/log/') ? loggedCall() : judgedCall()).slice(0, -1)
  const asked = `"request":{${requestMembers},"body":{${bodyMembers}`
  const answer = `"response":{${answerMembers},"body":{${bodyMembers},"truncated":false`
  if (entrypoint === 'countersign/response') yield `${head},${asked}}},${answer},"sample":"${'sample '.repeat(37_000)}"}}}`
  // a line that is logged says much twice
  const room = Math.min(bodyText, mostInputText - head.length - 16 * 1024)
  for (const shape of [texts, digits, members, nests, longTexts]) {
    if (entrypoint === 'countersign/response') yield `${head},${asked}}},${answer},"parsed":${shape(room)}}}}`
    else yield `${head},${asked},"parsed":${shape(room)}}}}`
  }
}

/** As long as there is room: `piece` again and again, in lists of the most items. */
function lists(room: number, piece: (index: number) => string, length: number): string {
  const list = (from: number, count: number): string => `[${Array.from({ length: count }, (_, index) => piece(from + index)).join(',')}]`
  const count = Math.floor(room / (length + 1))
  const whole = Math.floor(count / mostItems)
  const pieces = Array.from({ length: whole }, (_, index) => list(index * mostItems, mostItems))
  return `[${[...pieces, list(whole * mostItems, count % mostItems)].join(',')}]`
}

const texts = (room: number): string => lists(room, (index) => `"item-${String(index).padStart(6, '0')}"`, 13)
const digits = (room: number): string => lists(room, (index) => String(index % 10), 1)
const longTexts = (room: number): string => lists(room, () => `"${'ü'.repeat(longestText - 1)}"`, longestText + 1)

function members(room: number): string {
  const object = (from: number): string =>
    `{${Array.from({ length: mostMembers }, (_, index) => `"k${String(from + index).padStart(6, '0')}":${index % 10}`).join(',')}}`
  return `[${Array.from({ length: Math.floor(room / (mostMembers * 12 + 2)) }, (_, index) => object(index * mostMembers)).join(',')}]`
}

function nests(room: number): string {
  const levels = deepest - 8
  return lists(room, () => `${'[{"a":'.repeat(levels / 2)}1${'}]'.repeat(levels / 2)}`, levels * 4)
}

const names = (count: number, word: string): string[] => Array.from({ length: count }, (_, index) => `${word}-${index}`)

function meters(word: string): Record<string, number> {
  return Object.fromEntries(names(64, word).map((name, index) => [name, index]))
}

function inner(object: object): string {
  return JSON.stringify(object).slice(1, -1)
}

const requestMembers = inner({
  method: 'POST',
  path: `/${'s/'.repeat(1023)}`,
  segments: names(64, 'segment'),
  query: Object.fromEntries(names(50, 'name').map((name) => [name, ['1', '2']])),
  headers: Object.fromEntries(names(8, 'header').map((name) => [name, 'h'.repeat(256)])),
})
const bodyMembers = inner({ kind: 'json', judged: true, size: 262_144, sha256: 'a'.repeat(64) })
const answerMembers = inner({ status: 200, headers: Object.fromEntries(names(64, 'header').map((name) => [name, 'h'.repeat(64)])) })

const intent = {
  purpose: 'p'.repeat(1024),
  tools: names(256, 'tool').map((name) => `${name}.*`),
  resources: names(256, 'resource').map((name) => `${name}:*`),
  data: names(64, 'intended'),
  egress: names(64, 'egress'),
  prompt: null,
}
const bound = {
  data: names(64, 'bound'),
  tools: names(64, 'bound').map((name) => `${name}.*`),
  effects: ['read', 'write', 'delete', 'execute'],
}
const bounds = ['legal', 'compliance'].map((by) => ({ by, ...bound }))
const agent = { id: 'a', purpose: 'p', owners: null, autonomy: 'bounded', lifecycle: 'live', hosting: 'own', labels: {}, bounds, ttl: 1 }
// fewer than there may be: all parts at their caps are more than an input may hold, and claims are read by name
const claims = Object.fromEntries(names(20, 'claim').map((name) => [name, 'c'.repeat(512)]))
const caller = { confirmed: 'bearer', claims }
const context = { now: 1, mode: 'enforce' }
const approval = {
  id: 'a',
  kind: 'action',
  quorum: 16,
  break_glass: false,
  asked: 1,
  at: 1,
  expires: 2,
  used: 0,
  calls: 1,
  revision: 'r',
  by: names(16, 'person:name'),
  groups: Object.fromEntries(names(16, 'person:name').map((name) => [name, names(8, 'group:name')])),
}

/** As long as its text may be; every link holds the next one's names, and by its last pattern alone. */
const links = 6
const delegation = {
  verified: true,
  depth: links,
  chain: Array.from({ length: links }, () => ({
    party: 'p'.repeat(64),
    task: 't'.repeat(28),
    issuer: null,
    intent: {
      tools: [...names(36, 'handed').map((name) => `${name}.*`), '*'],
      resources: [...names(36, 'handed').map((name) => `${name}:*`), '*'],
      data: names(32, 'class'),
      egress: names(3, 'egress'),
    },
  })),
}

function openedTask(): object {
  const asked = { tools: names(256, 'asked'), resources: names(256, 'asked'), data: names(64, 'asked'), budget: meters('asked') }
  return {
    v: 1,
    action: 'open',
    caller,
    agent: { ...agent, intent: { ...intent, budget: meters('limit') } },
    task: { intent: { ...intent, ...asked }, ttl: 2 },
    delegation,
    approval,
    context,
  }
}

/** All of a call but `request`. */
function judgedCall(): object {
  const tool = { name: 'none', kind: 'privilege', effect: 'send', risk: 'low', egress: 'public', resource: 'none', bound: true }
  const step = { tool: 'none', effect: 'send', egress: 'public', ago: 1 }
  return {
    v: 1,
    caller,
    agent,
    task: {
      state: 'active',
      expires: 2,
      intent,
      budget: { limit: meters('limit'), spent: meters('spent'), debit: meters('debit') },
      sensitivity: names(64, 'read'),
      inherited: meters('inherited'),
    },
    tool: { ...tool, data: names(64, 'data'), accepts: names(64, 'accepted') },
    sequence: {
      step: 1000,
      repeats: 0,
      counts: meters('count'),
      steps: Object.fromEntries(names(65, 'count').map((name, index) => [name, [index, 1000]])),
      last: Array.from({ length: 5 }, () => step),
      taint: names(64, 'read'),
      sources: Object.fromEntries(names(64, 'read').map((name) => [name, { tool: 'none', ago: 1, step: 1, only: false, reads: 1 }])),
      denials: Object.fromEntries(names(17, 'intent.rule').map((name) => [name, 1000])),
      diverged: true,
      brought: names(64, 'read'),
      seen: { tool: 1, host: 1, resource: 1, class: 1 },
      sums: names(64, 'meter').map((name) => ({ kind: 'meter', name, resource: null, amount: 1, hour: 1, day: 1 })),
      divergence: { score: 99, reasons: names(14, 'kind').map((kind) => ({ kind, count: 1, points: 1 })) },
    },
    delegation,
    approval,
    signals: Object.fromEntries(names(32, 'signal').map((name) => [name, { value: 'v', source: 's', ago: 1 }])),
    context,
  }
}

/** The line of a call, as masking sees it: what was judged, and what was said. */
function loggedCall(): object {
  return {
    ...judgedCall(),
    input: judgedCall(),
    result: { v: 1, effect: 'deny', reasons: [], labels: Object.fromEntries(names(32, 'label').map((name) => [name, name])) },
  }
}
