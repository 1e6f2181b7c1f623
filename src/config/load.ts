import { readFileSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { agree } from './agree.ts'
import { digestOf, readAgents, sha256, type AgentFiles, type Declared } from './agents-from.ts'
import { ConfigFault, type Finding, type Watched } from './findings.ts'
import { compose, readIncludes } from './includes.ts'
import { describeIssue } from './issues.ts'
import { placeholders } from './placeholders.ts'
import { configSchema, type Config } from './schema.ts'
import { stampOfPath } from './stamp.ts'
import { readYaml, type Env, type Place } from './yaml-text.ts'

/** A configuration with where it came from and what `check` has to say about it (warnings and notes only). */
export interface Loaded {
  /** With the agents of `task.agents_from` behind those of the file itself. */
  readonly config: Config
  readonly file: string
  /** Folder that relative paths in the file start from. */
  readonly folder: string
  /** Where each of `config.task.agents` stands. */
  readonly declared: readonly Declared[]
  readonly findings: readonly Finding[]
  /** Owners that nobody filled in: warnings for whoever reads `check` or the log of a start. */
  readonly placeholders: readonly Finding[]
  /** What was read besides the file: included files and folders, the folder of `task.agents_from`. */
  readonly watched: readonly Watched[]
}

/** Reads and checks a configuration file. Throws `ConfigFault` with every problem at once. */
export function loadConfig(file: string, env: Env): Loaded {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ConfigFault(file, [
      { code: 'CS1001', severity: 'error', line: 1, column: 1, path: '', message: `cannot read the file: ${why}` },
    ])
  }
  return parseConfig(text, file, env)
}

/** Checks configuration text; `file` names it in findings and anchors relative paths. Throws `ConfigFault`. */
export function parseConfig(text: string, file: string, env: Env): Loaded {
  const main = { ...readYaml(text, env), file: null, text }
  if (!main.valid) throw new ConfigFault(file, main.findings)
  const folder = dirname(file)
  const names = includesOf(main.value)
  const found: Finding[] = [...main.findings]
  // before they are read: what changes meanwhile is read again
  const watched = names.map((name) => watch(name, folder))
  const { parts, findings: unread } = readIncludes(names, folder, env, main.place)
  // what a file that cannot be read would have said is missing everywhere: that is no news
  if (unread.length > 0) throw new ConfigFault(file, sorted([...found, ...unread]), watched)
  const { value, place, findings: doubled, at } = compose([main, ...parts])
  const from = fromOf(value)
  if (from !== null) watched.push(watch(from, folder))
  const more: AgentFiles = from === null ? { agents: [], findings: [] } : readAgents(from, folder, env, place)
  found.push(...doubled, ...more.findings)
  const parsed = configSchema.safeParse(value, { reportInput: true })
  if (!parsed.success) {
    found.push(...parsed.error.issues.flatMap((issue) => describeIssue(issue, place)))
    throw new ConfigFault(file, sorted(found), watched)
  }
  const { task, ...rest } = parsed.data
  const config: Config = { ...rest, task: { ...task, agents: [...task.agents, ...more.agents.map(({ agent }) => agent)] } }
  const placed = placeAll(place, task.agents.length, more)
  found.push(...agree(config, placed))
  if (found.some((finding) => finding.severity === 'error')) throw new ConfigFault(file, sorted(found), watched)
  const own = entriesOf(value).map((entry, index) => {
    const { part } = at(['task', 'agents', index])
    return { file: part.file ?? basename(file), sha256: sha256(part.text), digest: digestOf(entry) }
  })
  return {
    config,
    file,
    folder,
    declared: [...own, ...more.agents.map((one) => one.declared)],
    findings: sorted(found),
    placeholders: sorted(placeholders(config, placed)),
    watched,
  }
}

/** The file itself first, then the files of agents, each from its top down. */
function sorted(findings: readonly Finding[]): Finding[] {
  const name = ({ file = '' }: Finding): string => file
  return findings.toSorted((a, b) => (name(a) === name(b) ? a.line - b.line || a.column - b.column : name(a) < name(b) ? -1 : 1))
}

function watch(name: string, folder: string): Watched {
  const path = isAbsolute(name) ? name : join(folder, name)
  return { path, stamp: stampOfPath(path) }
}

/** `include` of a configuration that may be wrong elsewhere. */
function includesOf(value: unknown): readonly string[] {
  const names = memberOf(value, 'include')
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string' && name !== '') : []
}

/** `task.agents_from` of a configuration that may be wrong elsewhere. */
function fromOf(value: unknown): string | null {
  const from = memberOf(memberOf(value, 'task'), 'agents_from')
  return typeof from === 'string' && from !== '' ? from : null
}

function entriesOf(value: unknown): readonly unknown[] {
  const entries = memberOf(memberOf(value, 'task'), 'agents')
  return Array.isArray(entries) ? entries : []
}

function memberOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' && name in value ? (value as Record<string, unknown>)[name] : undefined
}

/** Places what is said about an agent in the file that it came from. */
function placeAll(place: Place, own: number, { agents }: AgentFiles): Place {
  return (code, severity, path, message) => {
    const [task, list, index, ...rest] = path
    const at = task === 'task' && list === 'agents' && typeof index === 'number' ? agents[index - own] : undefined
    return at === undefined ? place(code, severity, path, message) : at.place(code, severity, rest, message)
  }
}
