/**
 * `npm run bench:lease`: what the credential stage adds to a call whose lease is live, on one thread, with many other leases out. Prints a
 * line for each case, with `--json` the figures. The bound is 5 µs.
 */
import { parseArgs } from 'node:util'
import { CredentialRig, permitFor } from '../test/support/credential-rig.ts'

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, batches: { type: 'string', default: '60' }, calls: { type: 'string', default: '20000' } },
})
const batches = Number(values.batches)
const calls = Number(values.calls)
const bound = 5
/** Leases that are out besides. */
const others = 10_000

const began = Date.now()
const rig = new CredentialRig({ ticks: () => performance.now(), clock: () => rig.clock.now() + Date.now() - began })
const task = { expires: rig.clock.now() + 7_200_000 }
rig.issuer.offer = { ...rig.issuer.offer, ttl: 3_600_000 }
for (let at = 0; at < others; at++) await rig.lease({ tool: `crm.tool.n${at}`, task: { ...task, id: `t_${at % 500}` } })

const cases = [
  ['(a) as the route offers it', {}],
  ['(b) narrowed by policy', { credential: { scopes: ['a', 'b'], audience: 'https://other.acme.example' } }],
  ['(c) narrowed, with a life', { credential: { scopes: ['b'], ttl: 600_000 } }],
] as const
const results = []
for (const [what, sketch] of cases) {
  const options = { ...sketch, task }
  const lease = await rig.lease(options)
  // as in a call: a permit of its own, which is minted before
  const permits = Array.from({ length: calls }, () => permitFor(options))
  const times: number[] = []
  for (let batch = -5; batch < batches; batch++) {
    const start = process.hrtime.bigint()
    for (const permit of permits) if (rig.stage.credential(permit) !== lease) throw new Error(`${what}: another lease came`)
    // the first batches warm up
    if (batch >= 0) times.push(Number(process.hrtime.bigint() - start) / calls / 1000)
  }
  times.sort((one, other) => one - other)
  results.push({ what, us: times[batches >> 1] ?? Number.NaN, least: times[0] ?? Number.NaN, most: times.at(-1) ?? Number.NaN })
}
await rig.stage.close()

if (values.json) console.log(JSON.stringify({ bound, others, results }, null, 2))
else {
  console.log('                              µs/call  least   most')
  for (const { what, us, least, most } of results)
    console.log(`${what.padEnd(30)}${[us, least, most].map((one) => one.toFixed(2).padStart(7)).join('')}`)
  const over = results.filter(({ us }) => us > bound)
  console.log(
    over.length === 0 ? `within the bound of ${bound} µs` : `over the bound of ${bound} µs: ${over.map(({ what }) => what).join(', ')}`,
  )
}
