import { existsSync, globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { prometheusRule } from '../../scripts/prometheus-rule.ts'
import { metricNames } from '../support/metric-names.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

const groups: readonly { readonly rules: readonly Rule[] }[] = parse(read('deploy/prometheus/rules.yaml')).groups
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter(({ alert }) => alert !== undefined)
const known = await metricNames()

/** Names of metrics in a query; those of a histogram by the name it was made under. */
function named(query: string): string[] {
  return Array.from(query.matchAll(/(?<![\w:])(?:countersign|process)_[a-z0-9_]+/g), ([name]) =>
    known.includes(name) ? name : name.replace(/_(bucket|sum|count)$/, ''),
  )
}

/** Every text under this key, however deep. */
function textsUnder(value: unknown, key: string): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => textsUnder(one, key))
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([name, inner]) => (name === key && typeof inner === 'string' ? [inner] : textsUnder(inner, key)))
}

describe('the rules of Prometheus', () => {
  test('use only metrics that exist, and records that they make', () => {
    expect(rules.flatMap(({ expr }) => named(expr)).filter((name) => !known.includes(name))).toEqual([])
    const made = rules.flatMap(({ record }) => record ?? [])
    const used = rules.flatMap(({ expr }) => Array.from(expr.matchAll(/countersign:[a-z0-9_:]+/g), ([name]) => name))
    expect(used.filter((name) => !made.includes(name))).toEqual([])
    expect(rules.filter(({ expr }) => named(expr).length === 0 && !expr.includes('countersign:'))).toEqual([])
  })

  test('say how bad each alert is, what it means, and lead to a runbook that speaks of it', () => {
    for (const { alert = '', labels, annotations } of alerts) {
      expect(['critical', 'warning', 'info'], alert).toContain(labels?.['severity'])
      expect(annotations?.['summary'], alert).toMatch(/\w/)
      const page = annotations?.['runbook_url'] ?? ''
      expect(existsSync(join(root, page)), page).toBe(true)
      expect(read(page), `${page} speaks of ${alert}`).toContain(`\`${alert}\``)
    }
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length)
  })

  test('are the same for the Prometheus Operator (else run: node scripts/prometheus-rule.ts)', () => {
    expect(read('deploy/prometheus/prometheusrule.yaml')).toBe(prometheusRule(read('deploy/prometheus/rules.yaml')))
  })

  test('are tried with series of metrics that exist, each alert that they are tried for by its name', () => {
    const tried = parse(read('deploy/prometheus/rules_test.yaml'))
    const series = textsUnder(tried, 'series').flatMap((text) => named(text))
    expect(series.filter((name) => !known.includes(name))).toEqual([])
    const names = new Set(textsUnder(tried, 'alertname'))
    expect([...names].filter((name) => !alerts.some(({ alert }) => alert === name))).toEqual([])
    expect(names.size).toBeGreaterThanOrEqual(6)
  })
})

describe('runbooks', () => {
  const pages = globSync('docs/runbooks/*.md', { cwd: root }).filter((page) => !page.endsWith('README.md'))

  test.each(pages)('%s is listed, belongs to an alert, and says what to look at, what to do, and when it is over', (page) => {
    const text = read(page)
    expect(Array.from(text.matchAll(/^## (.*)$/gm), ([, heading]) => heading)).toEqual(['Look', 'Do', 'Over'])
    expect(read('docs/runbooks/README.md')).toContain(`(${page.slice('docs/runbooks/'.length)})`)
    expect(alerts.some(({ annotations }) => annotations?.['runbook_url'] === page)).toBe(true)
  })

  test.each(pages)('%s asks for kinds of events, metrics and codes that there are', (page) => {
    const text = read(page)
    const sources = globSync('src/**/*.ts', { cwd: root }).map(read).join('\n')
    const kinds = Array.from(text.matchAll(/--kind (\S+)/g), ([, list = '']) => list.split(',')).flat()
    expect(kinds.filter((kind) => !sources.includes(`'${kind}'`))).toEqual([])
    const metrics = Array.from(text.matchAll(/`(countersign_[a-z_]+)`/g), ([, name = '']) => name)
    expect(metrics.filter((name) => !known.includes(name))).toEqual([])
  })
})

describe('the dashboard of Grafana', () => {
  const dashboard = JSON.parse(read('deploy/grafana/countersign.json'))

  test('asks only for metrics that exist, and for most of them', () => {
    const queries = [...textsUnder(dashboard, 'expr'), ...textsUnder(dashboard, 'definition')]
    const used = queries.flatMap((query) => named(query))
    expect(used.filter((name) => !known.includes(name))).toEqual([])
    expect(queries.filter((query) => named(query).length === 0)).toEqual([])
    expect(new Set(used).size).toBeGreaterThan(known.length / 2)
  })

  test('has panels with numbers of their own that do not overlap, and no data source of anybody', () => {
    const panels: readonly { readonly id: number; readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>> }[] = dashboard.panels
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(new Set(textsUnder(dashboard, 'uid'))).toEqual(new Set(['countersign', '${datasource}']))
  })
})

describe('the other files for whoever runs it', () => {
  test('are well-formed, and the scrape names the port of the manifests', () => {
    const files = globSync(['deploy/prometheus/*.yaml', 'deploy/logs/*.yaml'], { cwd: root })
    expect(files.length).toBeGreaterThanOrEqual(7)
    for (const file of files)
      expect(
        parseAllDocuments(read(file), { uniqueKeys: true }).flatMap(({ errors, warnings }) => [...errors, ...warnings]),
        file,
      ).toEqual([])
    const { podMetricsEndpoints } = parse(read('deploy/prometheus/podmonitor.yaml')).spec
    expect(podMetricsEndpoints).toEqual([expect.objectContaining({ port: 'cs-health', path: '/metrics' })])
    expect(read('deploy/kubernetes/native-sidecar/pod-template.yaml')).toContain('name: cs-health, containerPort: 7423')
  })

  test('read out of a line what the page on its format has', () => {
    const format = read('docs/ledger-format.md')
    const own = Array.from(read('deploy/logs/vector.yaml').matchAll(/own\.([a-z_]+)/g), ([, name = '']) => name)
    const prefixed = Array.from(read('deploy/logs/fluent-bit.yaml').matchAll(/\bcs_([a-z_]+)/g), ([, name = '']) => name)
    const moved = Array.from(read('deploy/logs/otel-collector.yaml').matchAll(/custom\.countersign\.([a-z_]+)/g), ([, name = '']) => name)
    expect([own.length > 5, prefixed.length > 0, moved.length > 0]).toEqual([true, true, true])
    for (const name of [...own, ...prefixed.filter((one) => one !== ''), ...moved]) expect(format, name).toContain(`\`${name}\``)
  })
})
