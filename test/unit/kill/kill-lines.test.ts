import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readKillLines } from '../../../src/kill/kill-lines.ts'
import { scopes } from '../../../src/kill/name.ts'

const task = `t_${'0'.repeat(26)}`

test('a kill file says one kill a line, with a reason or without', () => {
  const text = [
    '# for emergencies',
    '',
    'agent spiffe://acme.example/ns/support/sa/* leaked key, ticket 4711',
    `  task ${task}`,
    'tool mail.send  # sends too much',
    'route crm',
    'owner "Team A" on leave',
    'trust-domain partner.example',
    'everything now',
    '',
  ].join('\r\n')
  expect(readKillLines(text, false)).toEqual({
    faults: [],
    stops: [
      { scope: 'agent', name: 'spiffe://acme.example/ns/support/sa/*', reason: 'leaked key, ticket 4711' },
      { scope: 'task', name: task, reason: '' },
      { scope: 'tool', name: 'mail.send', reason: 'sends too much' },
      { scope: 'route', name: 'crm', reason: '' },
      { scope: 'owner', name: 'Team A', reason: 'on leave' },
      { scope: 'trust-domain', name: 'partner.example', reason: '' },
      { scope: 'everything', name: null, reason: 'now' },
    ],
  })
})

test('a last line without an end counts only once the file is whole', () => {
  expect(readKillLines('everything', false).stops).toEqual([])
  expect(readKillLines('everything', true).stops).toHaveLength(1)
})

test('a line that cannot be read is told by its number and keeps no other from counting', () => {
  const { stops, faults } = readKillLines('everythin\nagent\nowner "Team\ntask t_1\nroute crm\n', false)
  expect(stops).toEqual([{ scope: 'route', name: 'crm', reason: '' }])
  expect(faults.map((fault) => fault.split(':')[0])).toEqual(['line 1', 'line 2', 'line 3', 'line 4'])
})

test('whatever stands in a file, each line is a kill of a known scope, or a fault, or nothing; and none throws', () => {
  const word = fc.constantFrom(...scopes, '"', '\\', '#', 'spiffe://a/b', task, '\u{0}', '\u{202E}', '\u{FEFF}', 'x')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(word).map((words) => words.join(' ')),
      ),
      (text) => {
        const { stops, faults } = readKillLines(text, true)
        expect(stops.length + faults.length).toBeLessThanOrEqual(text.split(/\r?\n/).length)
        for (const { scope, reason } of stops) {
          expect(scopes).toContain(scope)
          expect(reason).not.toMatch(/\p{Cc}/u)
        }
      },
    ),
  )
})
