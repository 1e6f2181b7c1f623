/** Opens the identity sources of a configuration as a start would, reads their keys for real, and says what came of it. */
import type { Loaded } from '../config/load.ts'
import type { IdentitySource } from '../identify/identify.ts'
import type { KeyReport } from '../identify/keys/key-report.ts'
import { openSource, type SourceConfig } from '../identify/registry.ts'
import type { IdentifyServices, SourceLog } from '../identify/source.ts'
import { authoritiesOf, servicesOf, settled } from '../trust.ts'
import { domainOf } from './agents.ts'
import { emptyCheck, halfCheck, leftOutCheck } from './bundles.ts'
import type { ServerClocks } from './clock.ts'
import { error, note, ok, warning, type Check } from './findings.ts'
import type { Means } from './means.ts'
import { faultChecks } from './source-faults.ts'
import { spanText } from './span.ts'

export interface SourcesTrial {
  readonly loaded: Loaded
  readonly clocks: ServerClocks
  /** Indexes of sources that cannot be opened, which was said elsewhere. */
  readonly hopeless: ReadonlySet<number>
  /** In place of the configured one. */
  readonly socket: string | null
  readonly needed: (trustDomain: string) => boolean
}

export interface Opened {
  readonly checks: readonly Check[]
  readonly sources: readonly IdentitySource[]
  /** Authorities of a trust domain, from whichever source has them. */
  readonly authorities: (trustDomain: string) => readonly Uint8Array[] | null
  close(): void
}

/** Ms for a Workload API that has answered already to answer the source too. */
const patience = 3000
const silent: SourceLog = { info: () => undefined, warn: () => undefined, error: () => undefined }

export async function openSources(trial: SourcesTrial, { clock, env }: Means): Promise<Opened> {
  const { loaded, clocks, hopeless } = trial
  const sources: IdentitySource[] = []
  const authorities = authoritiesOf(sources)
  const services = {
    ...servicesOf(loaded, { clock, env, log: silent }, authorities),
    fetch: clocks.listening(fetch),
    examination: clocks,
  }
  const all = loaded.config.identify.sources.map((settings, index) => ({ settings, index })).filter(({ index }) => !hopeless.has(index))
  const found: (readonly Check[])[] = []
  for (const turn of turns(all)) {
    const done = turn.map(async ({ settings, index }) => {
      found[index] = await openOne(settings, `identify.sources[${index}]`, { trial, services, sources })
    })
    await Promise.all(done)
  }
  const close = (): void => {
    for (const source of sources) source.close()
  }
  return { checks: found.flat(), sources, authorities, close }
}

interface Numbered {
  readonly settings: SourceConfig
  readonly index: number
}

/** An endpoint that proves itself by the bundle of another trust domain comes after the source that has that one. */
function turns(all: readonly Numbered[]): Numbered[][] {
  const ordered: Numbered[][] = []
  let rest = [...all]
  while (rest.length > 0) {
    const waiting = new Set(rest.flatMap(({ settings }) => ('trust_domain' in settings ? [settings.trust_domain] : [])))
    const free = rest.filter(({ settings }) => {
      const needs = proverOf(settings)
      return needs === null || !waiting.has(needs)
    })
    const turn = free.length > 0 ? free : rest
    // a source that learns of trust domains by itself comes first of all
    const learning = turn.filter(({ settings }) => settings.type === 'spiffe')
    const now = learning.length > 0 ? learning : turn
    ordered.push(now)
    rest = rest.filter((one) => !now.includes(one))
  }
  return ordered
}

/** The other trust domain whose bundle the endpoint of a source is proven with; null when there is none. */
function proverOf(settings: SourceConfig): string | null {
  if (settings.type !== 'bundle' || !('id' in settings.from)) return null
  const domain = domainOf(settings.from.id)
  return domain === settings.trust_domain ? null : domain
}

interface Hands {
  readonly trial: SourcesTrial
  readonly services: IdentifyServices
  /** Those that are open; one more after this. */
  readonly sources: IdentitySource[]
}

async function openOne(settings: SourceConfig, subject: string, { trial, services, sources }: Hands): Promise<readonly Check[]> {
  const socket = settings.type === 'spiffe' && trial.socket !== null ? { socket: trial.socket } : {}
  let source: IdentitySource
  try {
    source = openSource({ ...settings, ...socket }, services)
  } catch (fault) {
    const seen = `the source cannot be opened: ${fault instanceof Error ? fault.message : 'unknown'}`
    return [error('CS2501', { subject, seen, fix: `Correct ${subject}; Countersign does not start with it.` })]
  }
  sources.push(source)
  if (source.examine !== undefined) return reportChecks(await source.examine(), settings, { subject, trial, services })
  await settled([source], patience)
  return source.ready() ? [ok(subject, `the source of type ${source.type} can verify`)] : [unready(subject, source.type)]
}

function unready(subject: string, type: string): Check {
  return error('CS2501', {
    subject,
    seen: `the source of type ${type} has nothing to verify with after ${spanText(patience)}`,
    fix: 'See the findings about the Workload API; if there are none, run doctor again.',
  })
}

interface Reported {
  readonly subject: string
  readonly trial: SourcesTrial
  readonly services: IdentifyServices
}

function reportChecks(report: KeyReport, settings: SourceConfig, { subject, trial, services }: Reported): Check[] {
  const { newest, memoryFault, place } = report
  const checks = faultChecks(report, subject, { maxAge: settings.max_age, now: services.clock() })
  if (memoryFault !== null)
    checks.push(
      warning('CS2512', {
        subject,
        seen: `what was kept of ${place} from before cannot be used: ${memoryFault}`,
        fix: `Delete the file in ${subject}.from.cache: the next reading writes it anew. It belongs to one trust domain and one Countersign.`,
      }),
    )
  if (report.review !== undefined) checks.push(reviewCheck(report.review.fault, subject))
  if (newest === null) return checks
  const trustDomain = 'trust_domain' in settings ? settings.trust_domain : place
  checks.push(...contentChecks(newest, trustDomain, { subject, needed: trial.needed, settings }))
  if (checks.every(({ severity }) => severity === 'ok')) checks.unshift(ok(subject, `${place} was read: ${summaryOf(newest)}`))
  return checks
}

function reviewCheck(fault: string | null, subject: string): Check {
  if (fault === null) return ok(subject, 'the API server of Kubernetes reviews tokens for us')
  return error('CS2514', {
    subject,
    seen: fault,
    fix: `Bind the cluster role system:auth-delegator to the service account of Countersign ("kubectl auth can-i create tokenreviews" asks), and check ${subject}.review: url, ca and token.`,
  })
}

type Newest = NonNullable<KeyReport['newest']>

interface Content {
  readonly subject: string
  readonly needed: (trustDomain: string) => boolean
  readonly settings: SourceConfig
}

function contentChecks(
  { keys, authorities, leftOut, sequence }: Newest,
  trustDomain: string,
  { subject, needed, settings }: Content,
): Check[] {
  const checks: Check[] = []
  if (leftOut.length > 0) checks.push(leftOutCheck(trustDomain, leftOut, subject))
  // a source of tokens alone has no use for authorities
  const known = settings.type === 'bundle' ? keys + authorities : keys
  if (known === 0) return [...checks, emptyCheck(trustDomain, 'bundle', { subject, needed })]
  if (settings.type !== 'bundle') return checks
  if (keys === 0 || authorities === 0) checks.push(halfCheck(trustDomain, keys === 0 ? 'JWT' : 'X.509', subject))
  if (sequence === null && 'url' in settings.from)
    checks.push(
      note('CS2510', {
        subject,
        seen: `the bundle of ${trustDomain} has no spiffe_sequence: an old one that is played again goes unnoticed`,
        fix: 'Ask whoever publishes it to number it (SPIRE does by itself).',
      }),
    )
  return checks
}

function summaryOf({ keys, authorities, sequence, refreshHint, format }: Newest): string {
  const parts = [`${keys} JWT key${keys === 1 ? '' : 's'}`]
  if (format === 'bundle') {
    parts.push(`${authorities} authorit${authorities === 1 ? 'y' : 'ies'}`)
    if (sequence !== null) parts.push(`sequence ${sequence}`)
    parts.push(refreshHint === null ? 'no refresh hint (asked every 5 min)' : `asked again every ${spanText(refreshHint)}`)
  }
  return parts.join(', ')
}
