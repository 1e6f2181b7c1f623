/** What a case called things by, and how its later steps say so. */

import type { Settings } from '../running.ts'
import { agents, people } from './company.ts'

export class Names {
  readonly #values = new Map<string, string>()

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  name(name: string, value: unknown): void {
    if (typeof value === 'string') this.#values.set(name, value)
  }

  /** Names what stands at JSON pointers of an answer. */
  save(save: Readonly<Record<string, string>> | undefined, json: Settings): void {
    for (const [name, pointer] of Object.entries(save ?? {})) {
      let value: unknown = json
      for (const piece of pointer.split('/').slice(1)) value = (value as Settings | undefined)?.[piece]
      this.name(name, value)
    }
  }

  /** `<name>` stands for what was named, `<agent:…>` and `<person:…>` for an id of the company; `<%name>` is the same, encoded for a path. */
  said(text: string): string {
    return text.replaceAll(/<(%?)([^<>]+)>/g, (whole, encoded: string, name: string) => {
      const value = this.#valueOf(name)
      if (value === undefined) return whole
      return encoded === '' ? value : encodeURIComponent(value)
    })
  }

  /** The same in every text of a value. */
  filled(value: unknown): unknown {
    if (typeof value === 'string') return this.said(value)
    if (Array.isArray(value)) return value.map((one) => this.filled(one))
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, this.filled(one)]))
  }

  #valueOf(name: string): string | undefined {
    if (name.startsWith('agent:')) return agents[name.slice(6)]
    if (name.startsWith('person:')) return people[name.slice(7)]
    return this.#values.get(name)
  }
}
