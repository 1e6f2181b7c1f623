/** Reads the folder of reviewed files that `task.agents_from` names: one agent a file. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { canonical } from '../decide/canonical.ts'
import { agentConfig, type AgentConfig } from './agent.ts'
import type { Finding } from './findings.ts'
import { describeIssue } from './issues.ts'
import { readYaml, type Env, type Place } from './yaml-text.ts'

/** Where a registration stands, and what exactly stood there. */
export interface Declared {
  /** The file, as it is named from the folder of the configuration. */
  readonly file: string
  /** `sha256:` of the bytes of that file. */
  readonly sha256: string
  /** `sha256:` of the registration alone, canonical. */
  readonly digest: string
}

/** One agent of a folder. */
export interface AgentFile {
  readonly agent: AgentConfig
  readonly declared: Declared
  readonly place: Place
}

export interface AgentFiles {
  readonly agents: readonly AgentFile[]
  readonly findings: readonly Finding[]
}

/** Reads every `.yaml` and `.yml` file of the folder, in the order of their names. `folder`: of the configuration. */
export function readAgents(from: string, folder: string, env: Env, place: Place): AgentFiles {
  const path = isAbsolute(from) ? from : join(folder, from)
  let names: string[]
  try {
    names = readdirSync(path).sort()
  } catch (error) {
    return { agents: [], findings: [place('CS1001', 'error', ['task', 'agents_from'], `cannot read the folder: ${whyOf(error)}`)] }
  }
  // a mounted ConfigMap keeps what it swaps under names that begin with dots
  const read = names.filter((name) => agentFile.test(name)).map((name) => readAgent(join(path, name), join(from, name), env))
  const findings = read.flatMap((one) => one.findings)
  if (read.length === 0) findings.push(place('CS1403', 'warning', ['task', 'agents_from'], 'no file in the folder ends in .yaml or .yml'))
  return { agents: read.flatMap(({ file }) => file ?? []), findings }
}

const agentFile = /^[^.].*\.ya?ml$/

interface Read {
  readonly file: AgentFile | null
  readonly findings: readonly Finding[]
}

function readAgent(path: string, file: string, env: Env): Read {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const message = `cannot read the file: ${whyOf(error)}`
    return { file: null, findings: [{ file: path, code: 'CS1001', severity: 'error', line: 1, column: 1, path: '', message }] }
  }
  const { agent, declared, place, findings } = checkAgent(bytes.toString('utf8'), env, path)
  if (agent === null || findings.length > 0) return { file: null, findings }
  return { file: { agent, declared: { file, sha256: sha256(bytes), digest: digestOf(declared) }, place }, findings }
}

export interface CheckedAgent {
  /** Null when it is not well-formed. */
  readonly agent: AgentConfig | null
  /** In the words of the file, variables put in. */
  readonly declared: unknown
  readonly place: Place
  readonly findings: readonly Finding[]
}

/** Checks the text of one file; `path` names it in findings. */
export function checkAgent(text: string, env: Env, path: string): CheckedAgent {
  const { value, place, findings, valid } = readYaml(text, env, path)
  if (!valid) return { agent: null, declared: null, place, findings }
  const parsed = agentConfig.safeParse(value ?? undefined, { reportInput: true })
  if (parsed.success) return { agent: parsed.data, declared: value, place, findings }
  const wrong = parsed.error.issues.flatMap((issue) => describeIssue(issue, place, ['task', 'agents', 0]))
  return { agent: null, declared: null, place, findings: [...findings, ...wrong] }
}

/** `sha256:` of a registration, by its canonical text (RFC 8785): order and white space of a file do not count. */
export function digestOf(declared: unknown): string {
  return sha256(canonical(declared) ?? JSON.stringify(declared))
}

export function sha256(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function whyOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
