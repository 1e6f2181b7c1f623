import { describe, expect, it } from 'vitest'
import { makeApprove } from '../../../src/approve/approve.ts'
import { makeOblige, type CallNotice } from '../../../src/approve/oblige.ts'
import { StaleFacts } from '../../../src/approve/swap.ts'
import type { Decision } from '../../../src/decide/decide.ts'
import type { Obligation } from '../../../src/decide/obligations.ts'
import { Permit } from '../../../src/decide/permit.ts'
import { Refusal } from '../../../src/refusal.ts'
import { sketchDecision } from '../../support/decision.ts'
import { sketchQuestion, sketchTarget } from '../../support/question.ts'

const notify = (to: string, message = 'look'): Obligation => ({ id: `${to} ${message}`, type: 'notify', properties: { to, message } })
const revoke: Obligation = { id: 'revoke', type: 'revoke_leases', properties: {} }
const redact: Obligation = { id: 'redact', type: 'redact_request', properties: { paths: ['/a'] } }
const reasons = [{ rule: 'a.b', severity: 'high', controls: [], message_agent: 'no', detail: {} }] as const

function rig(change: { readonly swap?: () => void; readonly rejudge?: () => Decision; readonly full?: boolean } = {}) {
  const done: string[] = []
  const notices: CallNotice[] = []
  const oblige = makeOblige({
    knows: (to) => to === 'ledger' || to === 'oncall',
    notify: async (notice) => {
      await Promise.resolve()
      if (change.full) throw new Refusal('record.failed')
      notices.push(notice)
      done.push(`told ${notice.to}`)
    },
    revokeLeases: (task) => void done.push(`revoked ${task}`),
  })
  const swap = change.swap ?? (() => void done.push('swapped'))
  const mint = (decision: Decision): Permit => Permit.mint(decision, swap)
  return { done, notices, approve: makeApprove({ mint, swap, oblige, ...(change.rejudge && { rejudge: change.rejudge }) }) }
}

const decision = (obligations: readonly Obligation[], change: Partial<Decision> = {}) =>
  sketchDecision(undefined, { obligations, ...change })
const code = async (attempt: () => unknown): Promise<string> => {
  try {
    await attempt()
    return 'permitted'
  } catch (error) {
    return Refusal.from(error).code
  }
}
const task = sketchQuestion().task.row.id

describe('what policy obliges to', () => {
  it('takes no time where there is nothing', () => {
    expect(rig().approve(decision([]))).toBeInstanceOf(Permit)
  })

  it('is done once the call is permitted, before the permit comes out', async () => {
    const { approve, done, notices } = rig()
    expect(await approve(decision([notify('ledger'), revoke]))).toBeInstanceOf(Permit)
    expect(done).toEqual(['swapped', `revoked ${task}`, 'told ledger'])
    expect(notices).toEqual([
      expect.objectContaining({
        to: 'ledger',
        message: 'look',
        effect: 'allow',
        decision: sketchQuestion().call.id,
        task,
        tool: 'crm.customer.read',
      }),
    ])
  })

  it.each<[Decision['effect'], string]>([
    ['deny', 'decide.denied'],
    ['ask', 'approve.required'],
  ])('is done for a decision to %s, before the refusal comes out', async (effect, expected) => {
    const { approve, done } = rig()
    expect(await code(() => approve(decision([notify('oncall'), revoke], { effect, reasons })))).toBe(expected)
    expect(done).toEqual([`revoked ${task}`, 'told oncall'])
  })

  it('is done when the mint refuses what policy allowed', async () => {
    const { approve, done } = rig({
      swap: () => {
        throw new Refusal('task.budget')
      },
    })
    expect(await code(() => approve(decision([notify('ledger')])))).toBe('task.budget')
    expect(done).toEqual(['told ledger'])
  })

  it('is what the last judgement says, once', async () => {
    let stale = true
    const { approve, notices } = rig({
      swap: () => {
        if (stale) throw new StaleFacts()
      },
      rejudge: () => {
        stale = false
        return decision([notify('ledger', 'second')])
      },
    })
    await approve(decision([notify('ledger', 'first')]))
    expect(notices.map(({ message }) => message)).toEqual(['second'])
  })

  it('refuses the call when it cannot be written', async () => {
    const { approve } = rig({ full: true })
    expect(await code(() => approve(decision([notify('ledger')])))).toBe('record.failed')
  })

  it('refuses a call whose notice nobody would get, before anything is spent, and does the rest', async () => {
    const { approve, done } = rig()
    expect(await code(() => approve(decision([notify('nobody'), notify('oncall'), revoke])))).toBe('decide.malformed')
    expect(done).toEqual([`revoked ${task}`, 'told oncall'])
  })
})

describe('a body that policy redacts', () => {
  const bodies = {
    none: { kind: 'none', parsed: undefined, bytes: null, sha256: null, size: 0, judged: true },
    streamed: { kind: 'stream', parsed: undefined, bytes: null, sha256: null, size: 9, judged: false },
    beyond: { kind: 'json', parsed: undefined, bytes: Buffer.from('{}'), sha256: 'ab', size: 2, judged: false },
    judged: { kind: 'json', parsed: {}, bytes: Buffer.from('{}'), sha256: 'ab', size: 2, judged: true },
  } as const

  it.each<[keyof typeof bodies, string]>([
    ['none', 'permitted'],
    ['judged', 'permitted'],
    ['streamed', 'decide.malformed'],
    ['beyond', 'decide.malformed'],
  ])('must have been judged: %s is %s', async (kind, expected) => {
    const { approve, done } = rig()
    const question = sketchQuestion({ target: sketchTarget({ body: bodies[kind] }) })
    expect(await code(() => approve(sketchDecision(question, { obligations: [redact] })))).toBe(expected)
    expect(done).toEqual(expected === 'permitted' ? ['swapped'] : [])
    // what is refused anyway is refused for its own reason
    expect(await code(() => approve(sketchDecision(question, { obligations: [redact], effect: 'deny', reasons })))).toBe('decide.denied')
  })
})
