/** Plays one scenario, step by step, and holds every answer to what the step expects. */

import { expect } from 'vitest'
import type { Answered, Settings } from '../running.ts'
import { agents, people } from './company.ts'
import { Stage, type OpenStream } from './stage.ts'
import type { Expected, Scenario, Step, Verb } from './scenario.ts'

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Rejects at the first step whose answer is not the expected one. */
export async function play(scenario: Scenario): Promise<void> {
  await using stage = await Stage.open(scenario.given)
  const part = new Play(stage)
  for (const step of scenario.steps) await part.step(step)
  part.close()
  if (scenario.shows === 'refuses') expect(part.refused, 'a case that shows a refusal has one').toBeGreaterThan(0)
  else expect(part.lastRefused, 'a case that shows what passes ends with an answer that does').toBe(false)
}

class Play {
  /** Answers that refused, as the steps expected. */
  refused = 0
  /** Whether the last answer was one of them: a call may pass only after a person was asked, or a kill lifted. */
  lastRefused = false
  readonly #stage: Stage
  /** What `save`, `open`, `hand_off` and their kin named. */
  readonly #names = new Map<string, string>()
  readonly #streams = new Map<string, OpenStream>()
  readonly #held = new Map<string, Promise<Answered>>()
  /** Task by agent: the one it named last. */
  readonly #tasks = new Map<string, string>()
  #agent = 'refund'

  constructor(stage: Stage) {
    this.#stage = stage
  }

  async step(step: Step): Promise<void> {
    const act = this.#verbs[step.verb] as (step: Step) => Promise<void>
    try {
      await act(step)
    } catch (error) {
      throw new Error(`step ${step.at + 1} (${step.verb}): ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.close()
  }

  readonly #verbs: { readonly [V in Verb]: (step: Step<V>) => Promise<void> } = {
    open: async ({ open, on_behalf_of: human, orchestrates, ...step }) => {
      const body = {
        ...intentOf(step),
        ...(human && { on_behalf_of: this.#stage.login(human) }),
        ...(orchestrates && { caller: agents[orchestrates] }),
      }
      const answer = await this.#api(step, 'POST', '/tasks', body)
      this.#name(open, answer.json['id'])
      if (answer.status === 201) this.#tasks.set(orchestrates ?? this.#agent, open)
      await this.#hold(answer, step.expect ?? 201)
      this.#save(step.save, answer)
    },
    call: async (step) => {
      const before = this.#stage.reached.length
      const answer = await this.#call(step, step.call)
      await this.#hold(answer, step.expect ?? 200)
      const own = step.call.includes(' /.countersign/')
      expect(this.#stage.reached.length - before, 'requests that reached the upstream').toBe(answer.status < 400 && !own ? 1 : 0)
      this.#save(step.save, answer)
    },
    race: async (step) => {
      const before = this.#stage.reached.length
      const answers = await Promise.all(Array.from({ length: step.times }, () => this.#call(step, step.race)))
      const lost = answers.filter(({ status }) => status >= 400)
      expect(answers.length - lost.length, 'calls that got through').toBe(step.pass)
      expect(this.#stage.reached.length - before, 'requests that reached the upstream').toBe(step.pass)
      for (const answer of lost) await this.#hold(answer, step.expect ?? 403)
    },
    stream: async ({ stream: name, get, put, ...step }) => {
      const opened = this.#stage.stream(put === undefined ? 'GET' : 'PUT', this.#said(put ?? get ?? ''), this.#headers(step))
      this.#streams.set(name, opened)
      await Promise.race([opened.begun, opened.ended])
      expect(opened.isOpen(), 'the stream is open').toBe(true)
    },
    cut: async ({ cut, code }) => {
      await this.#stream(cut).ended
      this.lastRefused = true
      this.refused++
      if (code === undefined) return
      // its line is written once both of its ends are closed
      await this.#until(async () => (await this.#stage.lines()).some((line) => line['kind'] === 'outcome' && line['code'] === code))
    },
    flows: async ({ flows }) => {
      // what would cut it has been answered by now, and cuts in the tick in which it is
      await new Promise((resolve) => setImmediate(resolve))
      expect(this.#stream(flows).isOpen(), 'the stream is open').toBe(true)
    },
    hold: async ({ hold, with: call, wait, ...step }) => {
      const before = await this.#asks()
      this.#held.set(hold, this.#call({ ...step, headers: { ...step.headers, prefer: `wait=${wait}` } }, call))
      await this.#until(async () => (await this.#asks()).length > before.length)
      this.#name(hold, (await this.#asks()).at(-1))
    },
    answered: async ({ answered, expect: expected }) => {
      const held = this.#held.get(answered)
      if (held === undefined) throw new Error(`no call is held as ${answered}`)
      await this.#hold(await held, expected)
    },
    approve: (step) => this.#decide('approve', step.approve, step),
    decline: (step) => this.#decide('decline', step.decline, step),
    withdraw: (step) => this.#decide('withdraw', step.withdraw, step),
    hand_off: async ({ hand_off: name, to, ...step }) => {
      const task = this.#task(step)
      const answer = await this.#api(step, 'POST', `/tasks/${task}/hand-off`, { to: agents[to], ...intentOf(step) })
      this.#name(name, answer.json['id'])
      this.#name(`${name}.token`, answer.json['token'])
      await this.#hold(answer, step.expect ?? 201)
      this.#save(step.save, answer)
    },
    redeem: async ({ redeem, as, ...step }) => {
      const body = { grant: this.#said(`<${redeem}>`), token: this.#said(`<${redeem}.token>`) }
      const answer = await this.#api(step, 'POST', '/tasks', body)
      this.#name(as, answer.json['id'])
      if (answer.status === 201) this.#tasks.set(this.#agent, as)
      await this.#hold(answer, step.expect ?? 201)
      this.#save(step.save, answer)
    },
    kill: async ({ kill, as, by, reason }) => {
      const [scope = '', ...name] = kill.split(' ')
      const target = this.#said(name.join(' '))
      const answer = await this.#stage.person('/v1/kills', 'POST', {
        scope,
        name: target === '' ? null : (agents[target] ?? target),
        by,
        reason,
      })
      await this.#hold(answer, answer.status === 201 ? 201 : 200)
      this.#name(as, answer.json['id'])
    },
    lift: async ({ lift, by, reason, expect: expected }) => {
      await this.#hold(await this.#stage.person(`/v1/kills/${this.#said(`<${lift}>`)}/lift`, 'POST', { by, reason }), expected ?? 200)
    },
    person: async ({ person, body, by, reason, expect: expected, save }) => {
      const [method = '', path = ''] = this.#said(person).split(' ')
      const answer = await this.#stage.person(
        path,
        method,
        method === 'GET' ? undefined : { by, reason, ...(this.#filled(body ?? {}) as object) },
      )
      await this.#hold(answer, expected ?? 200)
      this.#save(save, answer)
    },
    wait: async ({ wait }) => {
      const [, amount = '', unit = ''] = /^(\d+)([smhd])$/.exec(wait) ?? []
      this.#stage.ahead += Number(amount) * (units[unit] ?? Number.NaN)
    },
    reload: ({ reload }) => this.#stage.reload(reload),
    restart: () => this.#stage.restart(),
    events: async ({ events }) => {
      const told = async (): Promise<unknown[]> => (await this.#stage.lines()).map((line) => line['event'])
      // what was begun by an answer may be told after it
      await this.#until(async () => {
        const names = new Set(await told())
        return events.every((event) => names.has(event))
      }).catch(() => null)
      expect(await told()).toEqual(expect.arrayContaining(events))
    },
  }

  #call(
    step: {
      readonly agent?: string | undefined
      readonly task?: string | undefined
      readonly body?: unknown
      readonly headers?: Settings | undefined
    },
    call: string,
  ): Promise<Answered> {
    const [method = '', target = ''] = this.#said(call).split(' ')
    const { body } = step
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(this.#filled(body))
    const json = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }
    const headers = { ...this.#headers(step), ...json, ...(this.#filled(step.headers ?? {}) as Record<string, string>) }
    return this.#stage.ask(target, { method, headers, ...(text === undefined ? {} : { body: text }) })
  }

  #api(step: { readonly agent?: string | undefined }, method: string, path: string, body: object): Promise<Answered> {
    return this.#call({ agent: step.agent, task: 'none', body }, `${method} /.countersign/v1${path}`)
  }

  async #decide(
    verb: string,
    id: string,
    step: { readonly by: string; readonly reason: string; readonly objective?: object | undefined; readonly expect?: Expected | undefined },
  ): Promise<void> {
    const body = { by: step.by, reason: step.reason, ...(step.objective && (this.#filled(step.objective) as object)) }
    await this.#hold(await this.#stage.person(`/v1/approvals/${this.#said(`<${id}>`)}/${verb}`, 'POST', body), step.expect ?? 200)
  }

  #headers(step: { readonly agent?: string | undefined; readonly task?: string | undefined }): Record<string, string> {
    if (step.agent !== undefined) this.#agent = step.agent
    if (step.task !== undefined && step.task !== 'none') this.#tasks.set(this.#agent, step.task)
    const task = step.task === 'none' ? undefined : this.#tasks.get(this.#agent)
    return {
      authorization: `Bearer ${this.#stage.svid(this.#agent)}`,
      ...(task === undefined ? {} : { 'countersign-task': this.#names.get(task) ?? task }),
    }
  }

  #task(step: { readonly agent?: string | undefined; readonly task?: string | undefined }): string {
    return this.#headers(step)['countersign-task'] ?? ''
  }

  async #hold(answer: Answered, expected: Expected): Promise<void> {
    this.lastRefused = answer.status >= 400
    if (this.lastRefused) this.refused++
    const { status, code, decision, body, rule, entry } =
      typeof expected === 'number' ? ({ status: expected } as const) : { status: undefined, ...expected }
    if (status !== undefined) expect(answer.status, answer.text).toBe(status)
    if (code !== undefined) expect(answer.json['code'] ?? answer.text).toBe(code)
    if (decision !== undefined) expect(answer.headers['countersign-decision']).toBe(decision)
    if (body !== undefined) expect(answer.json).toMatchObject(this.#filled(body) as object)
    if (rule === undefined && entry === undefined) return
    const line = (await this.#stage.lines()).findLast(({ id, kind }) => id === answer.headers['countersign-call'] && kind !== 'outcome')
    const rules = ((line?.['result'] ?? {}) as { reasons?: { rule: string }[] }).reasons?.map((reason) => reason.rule)
    if (rule !== undefined) expect(rules, answer.text).toContain(rule)
    if (entry !== undefined) expect(line).toMatchObject(this.#filled(entry) as object)
  }

  #stream(name: string): OpenStream {
    const found = this.#streams.get(name)
    if (found === undefined) throw new Error(`no stream is called ${name}`)
    return found
  }

  /** Ids of the approvals that were opened, in order. */
  async #asks(): Promise<string[]> {
    return (await this.#stage.lines()).flatMap((line) =>
      line['event'] === 'approval.opened' ? String((line['detail'] as Settings)['approval']) : [],
    )
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + 10_000
    while (!(await holds())) {
      if (performance.now() > end) throw new Error('it did not come to that')
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #save(save: Readonly<Record<string, string>> | undefined, { json }: Answered): void {
    for (const [name, pointer] of Object.entries(save ?? {})) {
      let value: unknown = json
      for (const piece of pointer.split('/').slice(1)) value = (value as Settings | undefined)?.[piece]
      this.#name(name, value)
    }
  }

  #name(name: string, value: unknown): void {
    if (typeof value === 'string') this.#names.set(name, value)
  }

  /** `<name>` stands for what was named, `<agent:…>` and `<person:…>` for an id of the company. */
  #said(text: string): string {
    return text.replaceAll(/<([^<>]+)>/g, (whole, name: string) => {
      if (name.startsWith('agent:')) return agents[name.slice(6)] ?? whole
      if (name.startsWith('person:')) return people[name.slice(7)] ?? whole
      return this.#names.get(name) ?? whole
    })
  }

  #filled(value: unknown): unknown {
    if (typeof value === 'string') return this.#said(value)
    if (Array.isArray(value)) return value.map((one) => this.#filled(one))
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, this.#filled(one)]))
  }
}

const intentMembers = ['purpose', 'tools', 'resources', 'data', 'egress', 'budget', 'ttl', 'prompt'] as const

function intentOf(step: Settings): Settings {
  return Object.fromEntries(intentMembers.flatMap((name) => (step[name] === undefined ? [] : [[name, step[name]]])))
}
