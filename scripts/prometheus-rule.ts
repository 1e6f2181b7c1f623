/** Wraps deploy/prometheus/rules.yaml for the Prometheus Operator; one rule at a time is written once, so both say the same. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'

/** The PrometheusRule that holds these rules, as text. */
export function prometheusRule(rules: string): string {
  const metadata = { name: 'countersign', labels: { 'app.kubernetes.io/name': 'countersign' } }
  const rule = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata, spec: parse(rules) }
  return `# Made from rules.yaml by \`node scripts/prometheus-rule.ts\`.\n${stringify(rule, { lineWidth: 0 })}`
}

if (import.meta.main) {
  const folder = join(resolve(fileURLToPath(new URL('..', import.meta.url))), 'deploy/prometheus')
  writeFileSync(join(folder, 'prometheusrule.yaml'), prometheusRule(readFileSync(join(folder, 'rules.yaml'), 'utf8')))
}
