/** The part of a call's input that its agent's other calls have too, letter for letter: the engine reads it once. */

/** Text that stands in many inputs, and what of it the engine keeps as values. */
export interface Standing {
  /** From `"caller":` at the top of an input to the comma behind the intent of its task. */
  readonly text: string
  /** The same without what is kept: an input with it instead of `text` is still whole. */
  readonly rest: string
  /** Where each kept value belongs, and its text. */
  readonly values: readonly { readonly path: readonly string[]; readonly text: string }[]
}

const mark = '"caller":{'

/**
 * Where the standing part of an input may begin; 0 or less when there is none. An agent can write such a place too, in a body:
 * `encodeInput` tells whether it is at the top.
 */
export function standingPlace(input: string): number {
  // without its first quote, of which an input has hundreds
  const place = input.indexOf('caller":{') - 1
  return input.startsWith(mark, place) ? place : -1
}

/**
 * Takes an input that is whole JSON without a backslash, and the place of the mark at its top. Null when what follows is in another
 * order than the builder of inputs writes it: then nothing is kept.
 */
export function standingAt(input: string, at: number): Standing | null {
  const caller = endOfObject(input, at + mark.length - 1)
  const agentAt = after(input, caller, ',"agent":')
  const agent = endOfObject(input, agentAt)
  const taskAt = after(input, agent, ',"task":{')
  const intentKey = taskAt === -1 ? -1 : input.indexOf('"intent":{', taskAt)
  // what is before the intent are plain members of the task, so that it is the task's own
  if (intentKey === -1 || /[{}[\]]/.test(input.slice(taskAt, intentKey))) return null
  const intentAt = intentKey + '"intent":'.length
  const intent = endOfObject(input, intentAt)
  if (intent === -1 || input[intent] !== ',') return null
  return {
    text: input.slice(at, intent + 1),
    rest: `"task":{${input.slice(taskAt, intentKey)}`,
    values: [
      { path: ['caller'], text: input.slice(at + mark.length - 1, caller) },
      { path: ['agent'], text: input.slice(agentAt, agent) },
      { path: ['task', 'intent'], text: input.slice(intentAt, intent) },
    ],
  }
}

/** An input whose standing part begins at `at`, as whole without the values that are kept. */
export function withoutStanding(input: string, at: number, { text, rest }: Standing): string {
  return input.slice(0, at) + rest + input.slice(at + text.length)
}

/** The place behind `expected` when that is what stands at `at`, else -1. */
function after(input: string, at: number, expected: string): number {
  return at !== -1 && input.startsWith(expected, at) ? at + expected.length : -1
}

/** The place behind the object that begins at `at`; -1 when none does. */
function endOfObject(input: string, at: number): number {
  if (at === -1 || input[at] !== '{') return -1
  let depth = 0
  for (let place = at; place < input.length; place++) {
    const unit = input[place]
    if (unit === '"') place = input.indexOf('"', place + 1)
    else if (unit === '{') depth++
    else if (unit === '}' && --depth === 0) return place + 1
    if (place === -1) return -1
  }
  return -1
}
