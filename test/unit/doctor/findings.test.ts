import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findingCodes } from '../../../src/config/findings.ts'
import { doctorCodes, error, note, ok, warning } from '../../../src/doctor/findings.ts'
import { checksJson, checksText, summary } from '../../../src/doctor/render.ts'
import { spanText } from '../../../src/doctor/span.ts'

const root = resolve(import.meta.dirname, '../../..')
const wrong = { subject: 'identify.audience', seen: 'it is odd', fix: 'Mend it.' }

describe('the codes of doctor', () => {
  const page = readFileSync(join(root, 'docs/doctor.md'), 'utf8')
  const sections = page.split(/^### /m).slice(1)

  test('stand in docs/doctor.md with the meaning they have, each with its cause and fix, and none that is gone', () => {
    const written = sections.map((section) => {
      const [, code = '', meaning = ''] = /^`(CS\d{4})`\n\n(.+)\.\n/.exec(section) ?? []
      return [code, meaning.charAt(0).toLowerCase() + meaning.slice(1)]
    })
    const meant = Object.entries(doctorCodes).map(([code, meaning]) => [code, meaning.charAt(0).toLowerCase() + meaning.slice(1)])
    expect(written).toEqual(meant)
    expect(sections.filter((section) => !/^- Cause: .+\.$/m.test(section) || !/^- Fix: .+\.$/m.test(section))).toEqual([])
  })

  test('are each produced by a test, and are never those of check', () => {
    const tests = globSync('test/{unit/doctor/*,e2e/doctor}.test.ts', { cwd: root }).filter((path) => !path.endsWith('findings.test.ts'))
    const text = tests.map((path) => readFileSync(join(root, path), 'utf8')).join('\n')
    expect(Object.keys(doctorCodes).filter((code) => !text.includes(code))).toEqual([])
    expect(Object.keys(doctorCodes).filter((code) => code in findingCodes)).toEqual([])
  })
})

describe('what is printed', () => {
  const checks = [ok('clock', 'agrees'), warning('CS2304', wrong), error('CS2401', wrong), note('CS2106', wrong)]

  test('is a line for what is well, and a fix below each finding', () => {
    expect(checksText(checks, false)).toBe(
      [
        'ok       clock: agrees',
        'warning  CS2304  identify.audience: it is odd',
        '         fix: Mend it.',
        'error    CS2401  identify.audience: it is odd',
        '         fix: Mend it.',
        'note     CS2106  identify.audience: it is odd',
        '         fix: Mend it.',
        '',
      ].join('\n'),
    )
  })

  test('is coloured only when asked, and says the same', () => {
    const coloured = checksText(checks, true)
    expect(coloured).toContain('\u001b[31m')
    expect(coloured.replaceAll(/\u001b\[\d+m/g, '')).toBe(checksText(checks, false))
  })

  test('holds nothing that could move a cursor or turn text around, whatever a server said', () => {
    const hostile = [error('CS2503', { subject: 'a\u001b[2J', seen: 'b\r\n\u202e\u2028', fix: 'c\u0007' })]
    expect(checksText(hostile, false)).toBe('error    CS2503  a?[2J: b????\n         fix: c?\n')
  })

  test('is for programs every member of every check', () => {
    expect(JSON.parse(checksJson(checks)).checks).toEqual(checks)
    expect(JSON.parse(checksJson([ok('clock', 'agrees')]))).toEqual({
      checks: [{ code: null, severity: 'ok', subject: 'clock', seen: 'agrees', fix: null }],
    })
  })

  test('ends with what it comes to', () => {
    expect(summary([ok('clock', 'agrees')])).toBe('nothing wrong was found')
    expect(summary(checks)).toBe('1 problem, 1 warning, 1 note; docs/doctor.md explains the codes')
    expect(summary([...checks, error('CS2001', wrong)])).toMatch(/^2 problems, 1 warning, 1 note;/)
  })

  test.each([
    [0, 'less than 1 s'],
    [999, 'less than 1 s'],
    [1000, '1 s'],
    [252_000, '4 min 12 s'],
    [-252_999, '4 min 12 s'],
    [300_000, '5 min'],
    [3_600_000, '1 h'],
    [3_601_000, '1 h'],
    [90_061_000, '1 d 1 h'],
    [31_536_000_000, '365 d'],
  ])('says of %d ms: %s', (ms, text) => {
    expect(spanText(ms)).toBe(text)
  })
})
