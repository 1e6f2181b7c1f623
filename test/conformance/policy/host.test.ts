import { afterAll, describe, expect, it } from 'vitest'
import { EngineFailure } from '../../../src/decide/engine.ts'
import { builtinsPolicyBytes, openHost, quietLog } from '../../support/policy-rig.ts'

describe('a host whose policy aborts', () => {
  const log = quietLog()
  const host = openHost(builtinsPolicyBytes, { log })
  afterAll(() => host.close())

  // An instance that is kept is ruined after about a thousand (test/unit/decide/module.test.ts).
  it('answers as before after 3,000 inputs that aborted', () => {
    let failures = 0
    for (let n = 0; n < 3000; n++) {
      try {
        host.evaluate('countersign/decision', '{"call":"conflict"}')
      } catch (error) {
        if (error instanceof EngineFailure) failures++
      }
    }
    expect([failures, host.replaced]).toEqual([3000, 3000])
    expect(host.evaluate('countersign/decision', '{"call":"hex.encode","args":["a"]}')).toEqual({ effect: 'deny', gives: ['61'] })
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(3000)
  }, 120_000)
})
