import { format, inspect } from 'node:util'
import { expect, test } from 'vitest'
import { Secret } from '../../src/secret.ts'

const secret = new Secret('hunter2-canary')

test.each([
  ['String()', () => String(secret)],
  ['a template', () => `${secret}`],
  ['concatenation', () => 'a' + secret],
  ['JSON', () => JSON.stringify({ secret })],
  ['inspect', () => inspect(secret, { depth: 9, showHidden: true })],
  ['format', () => format('%s %o %j %O', secret, secret, secret, secret)],
  ['an error', () => inspect(new Error('x', { cause: secret }))],
  ['its keys', () => JSON.stringify(Object.entries(secret)) + Object.getOwnPropertyNames(secret).join()],
  ['a copy', () => JSON.stringify({ ...secret })],
  ['structured clone', () => JSON.stringify(structuredClone({ ...secret }))],
])('a secret is not printed by %s', (_way, print) => {
  expect(print()).not.toContain('hunter2')
})

test('a secret can be used by the one door it has', () => {
  expect(secret.reveal()).toBe('hunter2-canary')
})
