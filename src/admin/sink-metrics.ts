import { Counter, type Registry } from 'prom-client'
import type { SinkStatus } from '../record/feed.ts'
import { rowsGauge } from './gauges.ts'

type Rows<Label extends string> = readonly (readonly [Readonly<Record<Label, string>>, number])[]

/** Makes the metrics of record sinks, which are read when they are scraped. Labels are names of sinks in the configuration and closed words. */
export function sinkMetrics(sinks: () => readonly SinkStatus[], registers: Registry[]): void {
  const each = (read: (sink: SinkStatus) => number) => (): Rows<'sink'> => sinks().map((sink) => [{ sink: sink.name }, read(sink)])
  const lines = 'Lines of the ledger that a record sink has not taken yet.'
  rowsGauge(
    registers,
    'countersign_sink_lag_lines',
    lines,
    ['sink'],
    each(({ lagLines }) => lagLines),
  )
  const age = 'Age of the oldest line that waits for a record sink; 0 when none does.'
  rowsGauge(
    registers,
    'countersign_sink_lag_seconds',
    age,
    ['sink'],
    each(({ lagSeconds }) => lagSeconds),
  )
  counter(
    'countersign_sink_lines_total',
    'Lines that a record sink is done with.',
    ['sink'],
    each((sink) => sink.lines),
    registers,
  )
  const attempts = 'Attempts of a record sink to hand lines on that came to nothing and are made again, by reason.'
  counter('countersign_sink_failures_total', attempts, ['sink', 'reason'], byReason(sinks, 'failures'), registers)
  const missing = 'Lines that the receiver of a record sink does not have, or not whole, by reason; the ledger has or had them.'
  counter('countersign_sink_gap_lines_total', missing, ['sink', 'reason'], byReason(sinks, 'gaps'), registers)
}

function byReason(sinks: () => readonly SinkStatus[], of: 'failures' | 'gaps'): () => Rows<'sink' | 'reason'> {
  return () => sinks().flatMap((sink) => [...sink[of]].map(([reason, count]) => [{ sink: sink.name, reason }, count] as const))
}

/** What is counted elsewhere. */
function counter<Label extends string>(
  name: string,
  help: string,
  labelNames: readonly Label[],
  rows: () => Rows<Label>,
  registers: Registry[],
): void {
  void new Counter({
    name,
    help,
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const [labels, value] of rows()) this.inc(labels, value)
    },
  })
}
