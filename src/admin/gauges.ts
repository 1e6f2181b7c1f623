/** Gauges that are read when somebody looks: nothing is counted between two looks. */
import { Gauge, type Registry } from 'prom-client'

/** One number. */
export function numberGauge(registers: Registry[], name: string, help: string, read: () => number): Gauge {
  return new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read())
    },
  })
}

/** A row for each set of labels; of rows with the same labels the numbers are added. What `rows` does not give any more is gone. */
export function rowsGauge<Label extends string>(
  registers: Registry[],
  name: string,
  help: string,
  labelNames: readonly Label[],
  rows: () => readonly (readonly [Readonly<Record<Label, string>>, number])[],
): Gauge<Label> {
  return new Gauge({
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
