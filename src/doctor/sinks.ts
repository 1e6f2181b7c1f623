/** Asks a running Countersign how far behind its record sinks are: what waits is safe in the ledger, and whoever watches elsewhere does not see it. */
import { sinkName } from '../record/registry.ts'
import type { Config } from '../config/schema.ts'
import { ok, warning, type Check } from './findings.ts'
import type { Means } from './means.ts'
import { spanText } from './span.ts'

/** Age of the oldest waiting line from which a sink is behind, s. */
const late = 60
const answerTime = 2000

/** Nothing for a configuration without sinks. Never rejects. */
export async function sinkChecks({ record, listen }: Config, { signal }: Pick<Means, 'signal'>): Promise<Check[]> {
  if (record.sinks.length === 0) return []
  const metrics = await metricsOf(listen.health.at, signal)
  if (metrics === null)
    return [ok('record.sinks', `nobody answers on the health port ${listen.health.at}: how far sinks are is seen while Countersign runs`)]
  return record.sinks.flatMap((settings, index) => {
    const name = sinkName(settings)
    const subject = `record.sinks[${index}]`
    const of = (metric: string): number => sumOf(metrics, metric, name)
    const [lines, seconds, missing] = [
      of('countersign_sink_lag_lines'),
      of('countersign_sink_lag_seconds'),
      of('countersign_sink_gap_lines_total'),
    ]
    const found: Check[] = []
    if (seconds >= late)
      found.push(
        warning('CS2901', {
          subject,
          seen: `the sink "${name}" is ${lines} lines behind, the oldest of which is ${spanText(seconds * 1000)} old`,
          fix: 'The log of Countersign says why it takes none (`a record sink takes no lines`). Mend the receiver or the settings; nothing is lost while the ledger has the lines.',
        }),
      )
    if (missing > 0)
      found.push(
        warning('CS2902', {
          subject,
          seen: `the receiver of the sink "${name}" does not have ${missing} lines, or not whole`,
          fix: 'The log of Countersign names them. Take them from the ledger (`countersign logs -o json`), or from where pruned segments are kept.',
        }),
      )
    return found.length > 0 ? found : [ok(subject, `the sink "${name}" keeps up`)]
  })
}

async function metricsOf(at: string, signal: AbortSignal): Promise<string | null> {
  if (at.startsWith('unix:')) return null
  const host = at.replace(/^0\.0\.0\.0(?=:)/, '127.0.0.1').replace(/^\[::\](?=:)/, '[::1]')
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(answerTime)])
    const answer = await fetch(`http://${host}/metrics`, { signal: within, redirect: 'error' })
    return answer.ok ? await answer.text() : null
  } catch {
    return null
  }
}

/** Of all rows of a metric that are about one sink, in the text that Prometheus reads. */
function sumOf(text: string, metric: string, sink: string): number {
  let sum = 0
  for (const line of text.split('\n'))
    if (line.startsWith(`${metric}{`) && line.includes(`sink="${sink}"`)) sum += Number(line.slice(line.lastIndexOf(' ') + 1)) || 0
  return sum
}
