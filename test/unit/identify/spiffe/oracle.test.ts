import { expect, test } from 'vitest'
import { Oracle } from '../../../../src/identify/spiffe/oracle.ts'
import { parseSpiffeId } from '../../../../src/identify/spiffe-id.ts'
import { WorkloadApiFault } from '../../../../src/identify/workload-api/fault.ts'
import { refusalOf, TestClock } from '../../../support/identity-rig.ts'
import { agentId, audience } from '../../../support/running.ts'

/** A Workload API that answers as told, and counts. */
function oracle(answer: () => string) {
  const clock = new TestClock()
  const api = {
    asked: 0,
    validateJwtSvid: async () => {
      api.asked += 1
      return { id: parseSpiffeId(answer()), claims: {} }
    },
  }
  return { clock, api, oracle: new Oracle({ api, audience, clock: clock.now }) }
}

const no = (): string => {
  throw new WorkloadApiFault('invalid-token', 'revoked')
}

test('a token that the Workload API refuses is refused again for ten seconds without asking', async () => {
  const rig = oracle(no)
  const ask = () => refusalOf(() => rig.oracle.agree('token', { id: agentId }))
  for (let call = 0; call < 5; call++) expect(await ask()).toMatchObject({ code: 'identify.rejected' })
  expect(rig.api.asked).toBe(1)
  rig.clock.move(10_000)
  await ask()
  expect(rig.api.asked).toBe(2)
})

test('calls at the same time share a question, and another token is another one', async () => {
  const rig = oracle(() => agentId)
  await Promise.all(Array.from({ length: 5 }, () => rig.oracle.agree('token', { id: agentId })))
  expect(rig.api.asked).toBe(1)
  await rig.oracle.agree('other', { id: agentId })
  expect(rig.api.asked).toBe(2)
})

test('what the Workload API takes for the token of another is refused, and no answer is none to remember', async () => {
  const other = oracle(() => 'spiffe://acme.example/other')
  expect(await refusalOf(() => other.oracle.agree('token', { id: agentId }))).toMatchObject({ code: 'identify.rejected' })
  const silent = oracle(() => {
    throw new WorkloadApiFault('unavailable', 'silent')
  })
  for (let call = 0; call < 2; call++)
    expect(await refusalOf(() => silent.oracle.agree('token', { id: agentId }))).toMatchObject({ code: 'identify.unavailable' })
  expect(silent.api.asked).toBe(2)
})

test('a thousand refused tokens and more take no more room than a thousand', async () => {
  const rig = oracle(no)
  for (let token = 0; token < 1025; token++) await refusalOf(() => rig.oracle.agree(`token-${token}`, { id: agentId }))
  await refusalOf(() => rig.oracle.agree('token-1024', { id: agentId }))
  expect(rig.api.asked).toBe(1025)
  await refusalOf(() => rig.oracle.agree('token-0', { id: agentId }))
  expect(rig.api.asked).toBe(1026)
})
