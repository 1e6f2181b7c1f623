/** Scenarios as people write them in `test/scenarios/*.yaml`: no code per case. */

import { readdirSync, readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'

const members = z.record(z.string(), z.unknown())
const words = z.string().default('a reason for the record')

/** What an answer is held to. Beside it the runner itself holds that a refused call reached no upstream, and an allowed one did. */
const expected = z.union([
  z.int(),
  z.strictObject({
    status: z.int().optional(),
    code: z.string().optional(),
    /** A rule among the reasons of the decision, as the ledger has it. */
    rule: z.string().optional(),
    decision: z.enum(['allow', 'deny', 'ask', 'defer']).optional(),
    /** Members of the JSON answer. */
    body: members.optional(),
    /** Members of the newest line of the call under `custom.countersign`. */
    entry: members.optional(),
  }),
])

const intent = {
  purpose: z.string().default('answer a refund request'),
  tools: z.array(z.string()).optional(),
  resources: z.array(z.string()).optional(),
  data: z.array(z.string()).optional(),
  egress: z.array(z.string()).optional(),
  budget: z.record(z.string(), z.number()).optional(),
  ttl: z.string().optional(),
  prompt: z.string().optional(),
}

/** Who acts: an agent of the company; a task by its name in the case. Both stay as the step before had them. */
const acting = {
  agent: z.string().optional(),
  task: z.string().optional(),
  expect: expected.optional(),
  /** Name → JSON pointer into the answer; later steps write it as `<name>`. */
  save: z.record(z.string(), z.string()).optional(),
}

const request = {
  ...acting,
  body: z.union([members, z.array(z.unknown()), z.string()]).optional(),
  headers: z.record(z.string(), z.string()).optional(),
}

/** Each step has exactly one of these words. */
export const verbs = {
  /** Opens a task; its value names it. */
  open: z.strictObject({
    open: z.string(),
    ...acting,
    ...intent,
    on_behalf_of: z.string().optional(),
    orchestrates: z.string().optional(),
    headers: request.headers,
  }),
  /** One call, `METHOD /route/path`; also the agent's own API under `/.countersign/v1`. `lent` names the token that went upstream with it. */
  call: z.strictObject({ call: z.string(), ...request, lent: z.string().optional() }),
  /** So many of the same call at once; `expect` says how many get through. */
  race: z.strictObject({ race: z.string(), ...request, times: z.int(), pass: z.int() }),
  /** A download or an upload that stays open; its value names it. */
  stream: z.strictObject({ stream: z.string(), get: z.string().optional(), put: z.string().optional(), ...acting }),
  /** The open stream so named has been cut; or goes on. */
  cut: z.strictObject({ cut: z.string(), code: z.string().optional() }),
  flows: z.strictObject({ flows: z.string() }),
  /** A call that waits for an answer (`Prefer: wait`); its value names it; `answered` looks at what became of it. */
  hold: z.strictObject({ hold: z.string(), with: z.string(), ...request, wait: z.int().default(20) }),
  answered: z.strictObject({ answered: z.string(), expect: expected }),
  /** A person's answer to the approval so named (`save: { a: /approval/id }`). */
  approve: z.strictObject({
    approve: z.string(),
    by: z.string().default('oncall'),
    reason: words,
    objective: members.optional(),
    expect: expected.optional(),
  }),
  decline: z.strictObject({ decline: z.string(), by: z.string().default('oncall'), reason: words, expect: expected.optional() }),
  /** Approves without being asked, by one who may (`approve.break_glass`). */
  break_glass: z.strictObject({ break_glass: z.string(), by: z.string(), reason: words, expect: expected.optional() }),
  withdraw: z.strictObject({ withdraw: z.string(), by: z.string().default('oncall'), reason: words, expect: expected.optional() }),
  /** Hands the task on; its value names the grant. */
  hand_off: z.strictObject({ hand_off: z.string(), to: z.string(), ...acting, ...intent }),
  /** Redeems a grant; `as` names the child task. */
  redeem: z.strictObject({ redeem: z.string(), as: z.string(), ...acting }),
  /** Stops something: `scope` or `scope name`; its value also names the kill. */
  kill: z.strictObject({ kill: z.string(), as: z.string().default('kill'), by: z.string().default('oncall'), reason: words }),
  lift: z.strictObject({ lift: z.string(), by: z.string().default('oncall'), reason: words, expect: expected.optional() }),
  /** Ends or pauses a task by a person. */
  person: z.strictObject({
    person: z.string(),
    body: members.optional(),
    by: z.string().default('oncall'),
    reason: words,
    expect: expected.optional(),
    save: acting.save,
  }),
  /** Stops by what stands in the kill file (`given.task.kill_file: kills`). */
  kill_file: z.strictObject({ kill_file: z.string() }),
  /** The service behind a route asks about a token that it was sent; one that is not active counts as refused. */
  introspect: z.strictObject({ introspect: z.string(), at: z.string(), says: members }),
  /** What was named so is not the same. */
  differ: z.strictObject({ differ: z.array(z.string()).length(2) }),
  /** Time passes. */
  wait: z.strictObject({ wait: z.string() }),
  /** The operator swaps part of the configuration in. */
  reload: z.strictObject({ reload: members }),
  /** The process ends and starts on what it kept. */
  restart: z.strictObject({ restart: z.literal(true) }),
  /** Events so named stand in the ledger. */
  events: z.strictObject({ events: z.array(z.string()) }),
} as const

export type Verb = keyof typeof verbs
export type Step<V extends Verb = Verb> = { [K in V]: { readonly verb: K; readonly index: number } & z.infer<(typeof verbs)[K]> }[V]
export type Expected = z.infer<typeof expected>

export interface Scenario {
  readonly file: string
  readonly name: string
  readonly refs: readonly string[]
  /** Whether the case shows that the right thing passes, or that the wrong thing is refused. */
  readonly shows: 'passes' | 'refuses'
  /** Merged over the configuration of the company. */
  readonly given: Readonly<Record<string, unknown>>
  readonly steps: readonly Step[]
}

const fileForm = z.strictObject({
  title: z.string(),
  given: members.default({}),
  cases: z.array(
    z.strictObject({
      name: z.string(),
      refs: z.array(z.string()).min(1),
      shows: z.enum(['passes', 'refuses']),
      given: members.default({}),
      steps: z.array(members).min(1),
    }),
  ),
})

/** Every case of every file in a folder; throws with file and case at the first that is not in form. */
export function readScenarios(folder: URL): readonly Scenario[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml') && name !== 'catalogue.yaml')
  return files.sort().flatMap((file) => {
    const { cases, given } = fileForm.parse(parse(readFileSync(new URL(file, folder), 'utf8')))
    return cases.map((one) => ({
      ...one,
      file,
      given: { ...given, ...one.given },
      steps: one.steps.map((step, index) => readStep(step, index, `${file}: ${one.name}, step ${index + 1}`)),
    }))
  })
}

function readStep(step: Readonly<Record<string, unknown>>, index: number, where: string): Step {
  const found = Object.keys(verbs).filter((verb) => Object.hasOwn(step, verb)) as Verb[]
  // a held call is made `with` a call
  const [verb, ...more] = found.includes('hold') ? (['hold'] as const) : found
  if (verb === undefined || more.length > 0) throw new Error(`${where}: a step has exactly one of ${Object.keys(verbs).join(', ')}`)
  const read = verbs[verb].safeParse(step)
  if (!read.success) throw new Error(`${where}: ${z.prettifyError(read.error)}`)
  return { ...read.data, verb, index } as Step
}
