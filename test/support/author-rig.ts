/** Stored lines of judged calls, and policies to try them on. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openCandidate, type Candidate } from '../../src/author/candidate.ts'
import { allowedInput, defaultPolicyBytes, filesOf, packBundle } from './policy-rig.ts'

export interface LineSketch {
  readonly id?: string
  readonly kind?: string
  readonly path?: string
  readonly input?: unknown
  readonly effect?: string
  readonly rules?: readonly string[]
  readonly obligations?: readonly object[]
  readonly erased?: readonly string[]
  readonly masked?: readonly string[]
  readonly revision?: string
  readonly own?: Readonly<Record<string, unknown>>
}

/** A line as the record writes it, of a call that was allowed unless told otherwise. */
export function storedLine(sketch: LineSketch = {}): string {
  const input = 'input' in sketch ? sketch.input : allowedInput()
  const { id = 'c_1', effect = 'allow', rules = [], obligations = [], erased, masked } = sketch
  const event = {
    decision_id: id,
    timestamp: '2026-11-22T10:14:15.002Z',
    labels: { id: 'one', version: '0' },
    path: sketch.path ?? 'countersign/decision',
    bundles: { countersign: { revision: sketch.revision ?? 'r1' } },
    input,
    result: { v: 1, effect, reasons: rules.map((rule) => ({ rule, effect })), obligations, labels: {} },
    ...(erased === undefined ? {} : { erased }),
    ...(masked === undefined ? {} : { masked }),
    custom: {
      countersign: {
        seq: 1,
        prev: `sha256:${'0'.repeat(64)}`,
        kind: sketch.kind ?? (effect === 'allow' ? 'decision' : 'refusal'),
        agent: 'spiffe://acme.example/agent',
        task: 't_1',
        tool: 'crm.customer.read',
        downstream: 'crm.acme.example',
        ...(effect === 'allow' ? {} : { code: effect === 'ask' ? 'approve.required' : 'decide.denied' }),
        ...sketch.own,
      },
    },
  }
  return JSON.stringify(event)
}

/** `allowedInput` with members of its sections replaced: `{ tool: { risk: 'high' } }`. */
export function inputWith(changes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const input = allowedInput()
  for (const [name, change] of Object.entries(changes)) {
    const there = input[name]
    const both = typeof there === 'object' && there !== null && typeof change === 'object' && change !== null && !Array.isArray(change)
    input[name] = both ? { ...there, ...change } : change
  }
  return input
}

export async function* linesOfTexts(texts: readonly (string | null)[]): AsyncGenerator<string | null> {
  for (const text of texts) yield text
}

/** A folder for one test file; gone at its end. */
export function scratchFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `countersign-${name}-`))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function defaultCandidate(): Candidate {
  return openCandidate('default', {})
}

/** The default policy with other files beside or in place of its own, written to a file in `folder`. */
export function changedBundle(folder: string, name: string, changes: (files: Record<string, Uint8Array | string>) => void): string {
  const files = filesOf(defaultPolicyBytes)
  changes(files)
  const path = join(folder, name)
  writeFileSync(path, packBundle(files))
  return path
}
