/** All of what `countersign doctor` looks at, in the order in which one thing rests on another. */
import type { Loaded } from '../config/load.ts'
import { claimedBy, type SourceConfig } from '../identify/registry.ts'
import { chosenSvid, type Choice } from '../identify/spiffe/spiffe-own.ts'
import { isBelieved } from '../identify/spiffe/spiffe-source.ts'
import { coverageChecks, neededDomains } from './agents.ts'
import { approvalChecks } from './approvals.ts'
import { audienceChecks } from './audience.ts'
import { bundleChecks, givenDomains } from './bundles.ts'
import { ServerClocks } from './clock.ts'
import { ok, type Check } from './findings.ts'
import { listenerChecks } from './listeners.ts'
import type { Means } from './means.ts'
import { openSources, type Opened } from './sources.ts'
import { sinkChecks } from './sinks.ts'
import { svidChecks } from './svids.ts'
import { standingChecks } from './standing.ts'
import { spanText } from './span.ts'
import { tokenChecks } from './tokens.ts'
import { askWorkloadApi, type Answers, type Place } from './workload-api.ts'

/** Without a configuration: the Workload API alone. `socket` absent: the variable decides. */
export async function examineWorkloadApi(socket: string | null, means: Means): Promise<Check[]> {
  const subject = 'workload api'
  const from = socket === null ? 'from SPIFFE_ENDPOINT_SOCKET' : 'from --socket'
  const { checks, answers } = await askWorkloadApi({ subject, from, address: socket ?? undefined }, means)
  if (answers === null) return [...checks]
  answers.api.close()
  const all = (): boolean => true
  return [
    answersCheck(subject, from, answers, means),
    ...checks,
    ...svidChecks({ subject, svids: answers.x509?.svids ?? [], choice: null, clock: means.clock }),
    ...bundleChecks({ subject, answers, believes: all, needed: () => false }),
  ]
}

/** A configuration; `socket` in place of the address of every source of type spiffe. */
export async function examineConfiguration(loaded: Loaded, socket: string | null, means: Means): Promise<Check[]> {
  const { config } = loaded
  const needed = neededDomains(config)
  const clocks = new ServerClocks(means.clock)
  const asked = await askAll(loaded, socket, means)
  const hopeless = new Set(asked.filter(({ answers }) => answers === null).map(({ index }) => index))
  let opened: Opened | null = null
  try {
    opened = await openSources({ loaded, clocks, hopeless, socket, needed: (domain) => needed.has(domain) }, means)
    const tokens = await askForTokens(asked, loaded, opened, means)
    const own = ownId(asked)
    const fit = asked.some(({ checks }) => checks.some(({ code }) => code === 'CS2102' || code === 'CS2103')) ? null : own
    const learned = new Set(asked.flatMap(({ answers, believes }) => (answers === null ? [] : givenDomains({ answers, believes }))))
    return [
      ...asked.flatMap(({ checks }) => checks),
      ...opened.checks,
      ...tokens,
      ...audienceChecks(config.identify.audience, own),
      ...coverageChecks({ config, learned: hopeless.size > 0 ? null : learned, authorities: opened.authorities }),
      ...listenerChecks(loaded, fit, means.clock()),
      ...approvalChecks(config, means.clock()),
      ...standingChecks(config),
      ...(await sinkChecks(config, means)),
      ...clocks.checks(),
    ]
  } finally {
    opened?.close()
    for (const { answers } of asked) answers?.api.close()
  }
}

/** A source of type spiffe, and what its Workload API said. */
interface AskedSource {
  readonly index: number
  readonly settings: SourceConfig & { readonly type: 'spiffe' }
  readonly choice: Choice
  readonly believes: (trustDomain: string) => boolean
  readonly checks: readonly Check[]
  readonly answers: Answers | null
}

async function askAll({ config }: Loaded, socket: string | null, means: Means): Promise<AskedSource[]> {
  const claimed = new Set(config.identify.sources.flatMap(claimedBy))
  const needed = neededDomains(config)
  const asked: AskedSource[] = []
  for (const [index, settings] of config.identify.sources.entries()) {
    if (settings.type !== 'spiffe') continue
    const place = placeOf(index, settings.socket, socket)
    const { subject } = place
    const choice = { id: settings.id ?? null, hint: settings.hint ?? null }
    const believes = (domain: string): boolean => isBelieved(settings, claimed, domain)
    const { checks, answers } = await askWorkloadApi(place, means)
    const more =
      answers === null
        ? []
        : [
            answersCheck(subject, place.from, answers, means),
            ...(answers.x509 === null ? [] : svidChecks({ subject, svids: answers.x509.svids, choice, clock: means.clock })),
            ...bundleChecks({ subject, answers, believes, needed: (domain) => needed.has(domain) }),
          ]
    asked.push({ index, settings, choice, believes, answers, checks: [...more.slice(0, 1), ...checks, ...more.slice(1)] })
  }
  return asked
}

function placeOf(index: number, configured: string | undefined, socket: string | null): Place {
  const subject = `identify.sources[${index}]`
  if (socket !== null) return { subject, address: socket, from: 'from --socket' }
  return configured === undefined
    ? { subject, address: undefined, from: 'from SPIFFE_ENDPOINT_SOCKET' }
    : { subject, address: configured, from: `from ${subject}.socket` }
}

function answersCheck(subject: string, from: string, { api, x509 }: Answers, { clock }: Means): Check {
  const [first] = x509?.svids ?? []
  const count = x509?.svids.length ?? 0
  const given =
    first === undefined
      ? 'no X.509-SVIDs'
      : `${count} X.509-SVID${count === 1 ? '' : 's'}, default ${first.id.id}, ${first.expires > clock() ? `${spanText(first.expires - clock())} left` : 'expired'}`
  return ok(subject, `the Workload API at ${api.address} (${from}) answers: ${given}`)
}

async function askForTokens(asked: readonly AskedSource[], { config }: Loaded, { sources }: Opened, means: Means): Promise<Check[]> {
  const checks: Check[] = []
  for (const { index, settings, choice, answers } of asked) {
    if (answers === null || answers.jwt === null) continue
    const { audience } = config.identify
    const trial = { subject: `identify.sources[${index}]`, api: answers.api, id: choice.id, audience, sources }
    checks.push(...(await tokenChecks({ ...trial, oracle: settings.oracle, leeway: settings.leeway }, means)))
  }
  return checks
}

function ownId(asked: readonly AskedSource[]): string | null {
  for (const { answers, choice } of asked) {
    const svid = answers?.x509 === undefined || answers.x509 === null ? null : chosenSvid(answers.x509.svids, choice)
    if (svid !== null) return svid.id.id
  }
  return null
}
