/** Plays one scenario, step by step, and holds every answer to what the step expects. */

import { expect } from 'vitest'
import type { Answered, Settings } from '../running.ts'
import { agents } from './company.ts'
import { Names } from './names.ts'
import { Stage, type OpenStream } from './stage.ts'
import type { Expected, Scenario, Step, Verb } from './scenario.ts'

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Rejects at the first step whose answer is not the expected one. */
export async function play(scenario: Scenario): Promise<void> {
  await using stage = await Stage.open(scenario.given)
  const part = new Play(stage)
  for (const step of scenario.steps) await part.step(step)
  part.close()
  if (scenario.shows === 'refuses') expect(part.refused, 'answers that refused, of a case that shows a refusal').toBeGreaterThan(0)
  else expect(part.endedRefused, 'the last answer of a case that shows what passes is a refusal').toBe(false)
}

class Play {
  /** Answers that refused, as the steps expected. */
  refused = 0
  /** Whether the last answer did. On the way to what passes a person may have to be asked. */
  endedRefused = false
  readonly #stage: Stage
  readonly #names = new Names()
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
      throw new Error(`step ${step.index + 1} (${step.verb}): ${error instanceof Error ? error.message : String(error)}`, { cause: error })
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
      this.#names.name(open, answer.json['id'])
      if (answer.status === 201) this.#tasks.set(orchestrates ?? this.#agent, open)
      await this.#hold(answer, step.expect ?? 201)
      this.#names.save(step.save, answer.json)
    },
    call: async (step) => {
      const before = this.#stage.reached.length
      const answer = await this.#call(step, step.call)
      await this.#hold(answer, step.expect ?? 200)
      if (step.lent !== undefined) this.#names.name(step.lent, this.#stage.credentials.at(-1)?.replace(/^Bearer /, ''))
      const own = step.call.includes(' /.countersign/')
      expect(this.#stage.reached.length - before, 'requests that reached the upstream').toBe(answer.status < 400 && !own ? 1 : 0)
      this.#names.save(step.save, answer.json)
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
      const opened = this.#stage.stream(put === undefined ? 'GET' : 'PUT', this.#names.said(put ?? get ?? ''), this.#headers(step))
      this.#streams.set(name, opened)
      await Promise.race([opened.begun, opened.ended])
      expect(opened.isOpen(), 'the stream is open').toBe(true)
    },
    cut: async ({ cut, code }) => {
      await this.#stream(cut).ended
      this.#count(true)
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
      this.#names.name(hold, (await this.#asks()).at(-1))
    },
    answered: async ({ answered, expect: expected }) => {
      const held = this.#held.get(answered)
      if (held === undefined) throw new Error(`no call is held as ${answered}`)
      await this.#hold(await held, expected)
    },
    approve: (step) => this.#decide('approve', step.approve, step),
    decline: (step) => this.#decide('decline', step.decline, step),
    break_glass: (step) => this.#decide('break-glass', step.break_glass, step),
    withdraw: (step) => this.#decide('withdraw', step.withdraw, step),
    hand_off: async ({ hand_off: name, to, ...step }) => {
      const task = this.#task(step)
      const answer = await this.#api(step, 'POST', `/tasks/${task}/hand-off`, { to: agents[to], ...intentOf(step) })
      this.#names.name(name, answer.json['id'])
      this.#names.name(`${name}.token`, answer.json['token'])
      await this.#hold(answer, step.expect ?? 201)
      this.#names.save(step.save, answer.json)
    },
    redeem: async ({ redeem, as, ...step }) => {
      const body = { grant: this.#names.said(`<${redeem}>`), token: this.#names.said(`<${redeem}.token>`) }
      const answer = await this.#api(step, 'POST', '/tasks', body)
      this.#names.name(as, answer.json['id'])
      if (answer.status === 201) this.#tasks.set(this.#agent, as)
      await this.#hold(answer, step.expect ?? 201)
      this.#names.save(step.save, answer.json)
    },
    kill: async ({ kill, as, by, reason }) => {
      const [scope = '', ...name] = kill.split(' ')
      const target = this.#names.said(name.join(' '))
      const answer = await this.#stage.person('/v1/kills', 'POST', {
        scope,
        name: target === '' ? null : (agents[target] ?? target),
        by,
        reason,
      })
      await this.#hold(answer, answer.status === 201 ? 201 : 200)
      this.#names.name(as, answer.json['id'])
    },
    lift: async ({ lift, by, reason, expect: expected }) => {
      await this.#hold(await this.#stage.person(`/v1/kills/${this.#names.said(`<${lift}>`)}/lift`, 'POST', { by, reason }), expected ?? 200)
    },
    person: async ({ person, body, by, reason, expect: expected, save }) => {
      const [method = '', path = ''] = this.#names.said(person).split(' ')
      const answer = await this.#stage.person(
        path,
        method,
        method === 'GET' ? undefined : { by, reason, ...(this.#names.filled(body ?? {}) as object) },
      )
      await this.#hold(answer, expected ?? 200)
      this.#names.save(save, answer.json)
    },
    kill_file: ({ kill_file: text }) => this.#stage.killFile(this.#names.said(text)),
    introspect: async ({ introspect, at, says }) => {
      const about = this.#names.said(`<${introspect}>`)
      // a swap of the configuration judges open work after it is in force
      if (says['active'] === false) await this.#until(async () => (await this.#stage.introspect(at, about))['active'] === false)
      const said = await this.#stage.introspect(at, about)
      this.#count(said['active'] !== true)
      expect(said).toMatchObject(this.#names.filled(says) as object)
    },
    differ: async ({ differ: [one = '', other = ''] }) => {
      const values = [this.#names.get(one), this.#names.get(other)]
      expect(values).not.toContain(undefined)
      expect(values[0]).not.toBe(values[1])
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
    const [method = '', target = ''] = this.#names.said(call).split(' ')
    const { body } = step
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(this.#names.filled(body))
    const json = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }
    const headers = { ...this.#headers(step), ...json, ...(this.#names.filled(step.headers ?? {}) as Record<string, string>) }
    return this.#stage.ask(target, { method, headers, ...(text === undefined ? {} : { body: text }) })
  }

  #api(
    step: { readonly agent?: string | undefined; readonly headers?: Settings | undefined },
    method: string,
    path: string,
    body: object,
  ): Promise<Answered> {
    return this.#call({ agent: step.agent, headers: step.headers, task: 'none', body }, `${method} /.countersign/v1${path}`)
  }

  async #decide(
    verb: string,
    id: string,
    step: { readonly by: string; readonly reason: string; readonly objective?: object | undefined; readonly expect?: Expected | undefined },
  ): Promise<void> {
    const body = {
      by: this.#names.said(step.by),
      reason: step.reason,
      ...(step.objective && (this.#names.filled(step.objective) as object)),
    }
    await this.#hold(
      await this.#stage.person(`/v1/approvals/${this.#names.said(`<${id}>`)}/${verb}`, 'POST', body, step.by),
      step.expect ?? 200,
    )
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
    this.#count(answer.status >= 400)
    const { status, code, decision, body, rule, entry } =
      typeof expected === 'number' ? ({ status: expected } as const) : { status: undefined, ...expected }
    if (status !== undefined) expect(answer.status, answer.text).toBe(status)
    if (code !== undefined) expect(answer.json['code'] ?? answer.text).toBe(code)
    if (decision !== undefined) expect(answer.headers['countersign-decision']).toBe(decision)
    if (body !== undefined) expect(answer.json).toMatchObject(this.#names.filled(body) as object)
    if (rule === undefined && entry === undefined) return
    const line = (await this.#stage.lines()).findLast(({ id, kind }) => id === answer.headers['countersign-call'] && kind !== 'outcome')
    const rules = ((line?.['result'] ?? {}) as { reasons?: { rule: string }[] }).reasons?.map((reason) => reason.rule)
    if (rule !== undefined) expect(rules, answer.text).toContain(rule)
    if (entry !== undefined) expect(line).toMatchObject(this.#names.filled(entry) as object)
  }

  #stream(name: string): OpenStream {
    const found = this.#streams.get(name)
    if (found === undefined) throw new Error(`no stream is called ${name}`)
    return found
  }

  /** What calls wait for, in order: approvals that were opened, and the calls themselves where they wait for a fact. */
  async #asks(): Promise<string[]> {
    return (await this.#stage.lines()).flatMap((line) =>
      line['event'] === 'approval.opened' || line['event'] === 'defer.opened' ? askedIn(line['detail'] as Settings) : [],
    )
  }

  async #until(holds: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + 10_000
    while (!(await holds())) {
      if (performance.now() > end) throw new Error('it did not come to that')
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #count(refused: boolean): void {
    this.endedRefused = refused
    if (refused) this.refused++
  }
}

/** Id of an approval, or of a call that is deferred. */
function askedIn({ approval, call }: Settings): string {
  return String(approval ?? call)
}

const intentMembers = ['purpose', 'tools', 'resources', 'data', 'egress', 'budget', 'ttl', 'prompt'] as const

function intentOf(step: Settings): Settings {
  return Object.fromEntries(intentMembers.flatMap((name) => (step[name] === undefined ? [] : [[name, step[name]]])))
}
