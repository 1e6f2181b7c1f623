import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { check } from '../../../src/cli/check.ts'
import { UsageFault } from '../../../src/cli/command.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-check-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = join(folder, 'countersign.yaml')
const routes = join(folder, 'routes,1.yaml')
writeFileSync(routes, 'forward:\n  routes:\n    crm: { at: /crm, too: "100%" }\n')
writeFileSync(
  file,
  `version: 1
include: ["routes,1.yaml"]
identify: { audience: a, sources: [{ type: jwt-svid, trust_domain: acme.example, keys: { file: b } }] }
task:
  state: { path: s }
  agents:
    - { id: spiffe://acme.example/a, purpose: p, autonomy: bounded, intent: { tools: [] } }
record: { ledger: { path: l } }
`,
)

async function run(...args: string[]) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await check.run({
    args,
    env: {},
    stdin: new PassThrough(),
    stdout,
    stderr,
    signal: new AbortController().signal,
    onHangup: () => undefined,
    version: '1.2.3',
  })
  stdout.end()
  return { code, stdout: await text(stdout) }
}

/** As code review names it: from the root of a checkout, which is where the command runs. */
const named = relative('.', routes)

describe('check as a gate of a pull request', () => {
  test('annotates the very lines of the files that are meant, whatever stands in their names and messages', async () => {
    const { code, stdout } = await run('--format', 'github', file)
    expect(code).toBe(1)
    expect(stdout.trim().split('\n')).toEqual([
      `::error file=${named.replace(',', '%2C')},line=3,col=5,title=CS1202::missing: forward.routes.crm.to`,
      `::error file=${named.replace(',', '%2C')},line=3,col=22,title=CS1204::unknown key "too", did you mean "to"?`,
    ])
  })

  test('speaks SARIF 2.1.0: the codes as rules, each result with its place', async () => {
    const { code, stdout } = await run('--format', 'sarif', file)
    const { version, runs } = JSON.parse(stdout)
    expect([code, version, runs.length]).toEqual([1, '2.1.0', 1])
    const [{ tool, results }] = runs
    expect(tool.driver).toMatchObject({ name: 'countersign check', version: '1.2.3' })
    expect(tool.driver.rules.map(({ id }: { readonly id: string }) => id)).toEqual(['CS1202', 'CS1204'])
    expect(results[1]).toMatchObject({
      ruleId: 'CS1204',
      ruleIndex: 1,
      level: 'error',
      message: { text: 'unknown key "too", did you mean "to"?' },
      locations: [
        {
          physicalLocation: { artifactLocation: { uri: encodeURI(named) }, region: { startLine: 3, startColumn: 22 } },
          logicalLocations: [{ fullyQualifiedName: 'forward.routes.crm.too' }],
        },
      ],
    })
  })

  test('lets what can be used through with its remarks, and stops at a warning when it is told to be strict', async () => {
    writeFileSync(routes, 'forward:\n  routes:\n    crm: { at: /crm, to: "https://crm.acme.example" }\n')
    expect(await run(file)).toMatchObject({ code: 0 })
    const { code, stdout } = await run('--format', 'github', '--strict', file)
    expect([code, stdout]).toEqual([1, expect.stringMatching(/^::warning file=/m)])
    await expect(run('--format', 'xml', file)).rejects.toThrow(UsageFault)
  })
})
