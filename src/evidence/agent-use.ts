/** What one agent did, was refused and asked, in bounded memory. */

import { isRecord, textAt, textsAt, valueAt, type JsonRecord } from '../author/json-path.ts'
import type { OwnLine } from './own-line.ts'

/** How often, and when last (epoch ms). */
export interface Times {
  calls: number
  last: number
}

export interface ToolUse extends Times {
  readonly name: string
  effect: string
  readonly risk: Set<string>
  readonly resources: Set<string>
  readonly data: Set<string>
  readonly egress: Set<string>
  readonly routes: Set<string>
}

/** Names of one kind past this say nothing but their kind. */
const mostNames = 10_000
const mostTasks = 100_000

/** Written by `Gathering` alone, line by line. */
export class AgentUse {
  readonly id: string
  readonly tools = new Map<string, ToolUse>()
  readonly resources = new Map<string, Times>()
  readonly data = new Map<string, Times>()
  readonly egress = new Map<string, Times>()
  readonly hosts = new Map<string, Times>()
  readonly callers = new Map<string, Times>()
  readonly rules = new Map<string, Times & { readonly tools: Set<string> }>()
  readonly codes = new Map<string, Times>()
  /** Person → yes and no. */
  readonly people = new Map<string, { approve: number; decline: number }>()
  /** How questions ended → number. */
  readonly questions = new Map<string, number>()
  readonly askedTools = new Map<string, number>()
  /** From question to answer, ms. */
  readonly waits: number[] = []
  /** Standing secrets it was lent: provider → uses. */
  readonly standing = new Map<string, Times & { readonly routes: Set<string> }>()
  readonly events: { readonly event: string; readonly by: string; readonly time: number }[] = []
  /** Meter → most that one task spent, of those whose input could be read. */
  readonly spent = new Map<string, number>()
  readonly #tasks = new Map<string, { began: number; last: number }>()
  calls = 0
  refusals = 0
  grants = 0
  /** Calls let through in observe mode that a rule would have refused. */
  observed = 0
  /** Calls whose input the record hides: nobody knows all that they used. */
  hidden = 0
  /** Calls of others that rested on what it handed on. */
  handed = 0
  /** More names than are kept. */
  overflow = false
  first: number | null = null
  last: number | null = null

  constructor(id: string) {
    this.id = id
  }

  get tasks(): number {
    return this.#tasks.size
  }

  /** Longest that one task was at work, ms. */
  get life(): number {
    let longest = 0
    for (const { began, last } of this.#tasks.values()) longest = Math.max(longest, last - began)
    return longest
  }

  opened(task: string, time: number): void {
    if (task !== '') this.#live(task, time, time)
  }

  /** A call that was let through. `input`: what policy was asked, null where the record hides it. */
  permitted({ time, own }: OwnLine, input: JsonRecord | null): void {
    this.calls++
    this.first = Math.min(this.first ?? time, time)
    this.last = Math.max(this.last ?? time, time)
    this.#add(this.callers, textAt(own, 'caller'), time)
    this.#add(this.hosts, textAt(own, 'downstream'), time)
    const observed = textAt(own, 'observed')
    if (observed !== '') this.observed++
    if (input === null) this.hidden++
    this.#used(own, input, time)
    const started = valueAt(input, 'task.started')
    this.#live(textAt(own, 'task'), typeof started === 'number' ? started : time, time)
    this.#spend(input)
  }

  /** A call that somebody made by what this agent handed on. */
  handedOn({ time, own }: OwnLine, input: JsonRecord): void {
    this.handed++
    this.#used(own, input, time)
  }

  refused({ time, own }: OwnLine): void {
    this.refusals++
    this.#add(this.codes, textAt(own, 'code'), time)
    for (const rule of textsAt(own, 'rules')) {
      let found = this.rules.get(rule)
      if (found === undefined && this.rules.size < mostNames) this.rules.set(rule, (found = { calls: 0, last: time, tools: new Set() }))
      if (found === undefined) continue
      found.calls++
      found.last = Math.max(found.last, time)
      const tool = textAt(own, 'tool')
      if (tool !== '' && found.tools.size < 100) found.tools.add(tool)
    }
  }

  ended({ time, own }: OwnLine): void {
    const task = textAt(own, 'task')
    if (this.#tasks.has(task)) this.#live(task, time, time)
    // classes of the tool itself were counted with the call
    for (const name of textsAt(own, 'raised')) if (!name.includes(':') && !this.data.has(name)) this.#add(this.data, name, time)
    if (own['standing'] !== true) return
    const provider = textAt(own['lease'], 'provider') || textAt(own, 'route')
    let found = this.standing.get(provider)
    if (found === undefined && this.standing.size < mostNames)
      this.standing.set(provider, (found = { calls: 0, last: time, routes: new Set() }))
    if (found === undefined) return
    found.calls++
    found.last = Math.max(found.last, time)
    found.routes.add(textAt(own, 'route'))
  }

  asked(tool: string, state: string, waited: number | null): void {
    this.questions.set(state, (this.questions.get(state) ?? 0) + 1)
    const name = tool === '' ? 'a task' : tool
    if (this.askedTools.has(name) || this.askedTools.size < mostNames) this.askedTools.set(name, (this.askedTools.get(name) ?? 0) + 1)
    if (waited !== null && this.waits.length < mostTasks) this.waits.push(waited)
  }

  answered(by: string, verdict: string): void {
    const found = this.#person(by)
    if (verdict === 'approve') found.approve++
    else found.decline++
  }

  granted(by: string): void {
    this.grants++
    this.#person(by).approve++
  }

  told(event: string, by: string, time: number): void {
    this.events.push({ event, by, time })
    if (this.events.length > 20) this.events.shift()
  }

  #person(by: string): { approve: number; decline: number } {
    let found = this.people.get(by)
    if (found === undefined) {
      found = { approve: 0, decline: 0 }
      if (this.people.size < mostNames) this.people.set(by, found)
    }
    return found
  }

  #used(own: JsonRecord, input: JsonRecord | null, time: number): void {
    const tool = valueAt(input, 'tool')
    const name = textAt(own, 'tool') || textAt(tool, 'name')
    if (name === '') return
    const use = this.#tool(name, time)
    if (use === null) return
    use.calls++
    use.last = Math.max(use.last, time)
    use.routes.add(textAt(own, 'route'))
    if (!isRecord(tool)) return
    use.effect = textAt(tool, 'effect')
    use.risk.add(textAt(tool, 'risk'))
    const resource = textAt(tool, 'resource')
    if (resource !== '') this.#resource(use, resource, time)
    const egress = textAt(tool, 'egress')
    use.egress.add(egress)
    this.#add(this.egress, egress, time)
    for (const one of textsAt(tool, 'data')) {
      use.data.add(one)
      this.#add(this.data, one, time)
    }
  }

  #resource(use: ToolUse, resource: string, time: number): void {
    if (use.resources.size < mostNames) use.resources.add(resource)
    this.#add(this.resources, resource, time)
  }

  #tool(name: string, time: number): ToolUse | null {
    let use = this.tools.get(name)
    if (use === undefined) {
      if (this.tools.size >= mostNames) {
        this.overflow = true
        return null
      }
      const set = (): Set<string> => new Set()
      use = { name, effect: '', risk: set(), calls: 0, last: time, resources: set(), data: set(), egress: set(), routes: set() }
      this.tools.set(name, use)
    }
    return use
  }

  #spend(input: JsonRecord | null): void {
    const [spent, debit] = [valueAt(input, 'task.budget.spent'), valueAt(input, 'task.budget.debit')]
    const amount = (meters: unknown, meter: string): number => {
      const value = isRecord(meters) && Object.hasOwn(meters, meter) ? meters[meter] : 0
      return typeof value === 'number' ? value : 0
    }
    for (const meter of new Set([spent, debit].flatMap((meters) => (isRecord(meters) ? Object.keys(meters) : []))))
      this.spent.set(meter, Math.max(this.spent.get(meter) ?? 0, amount(spent, meter) + amount(debit, meter)))
  }

  #live(task: string, began: number, last: number): void {
    const known = this.#tasks.get(task)
    if (known === undefined) {
      if (this.#tasks.size < mostTasks) this.#tasks.set(task, { began, last })
      return
    }
    known.began = Math.min(known.began, began)
    known.last = Math.max(known.last, last)
  }

  #add(map: Map<string, Times>, name: string, time: number): void {
    if (name === '') return
    const found = map.get(name)
    if (found !== undefined) {
      found.calls++
      found.last = Math.max(found.last, time)
    } else if (map.size < mostNames) map.set(name, { calls: 1, last: time })
    else this.overflow = true
  }
}
