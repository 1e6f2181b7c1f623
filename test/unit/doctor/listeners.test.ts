import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Loaded } from '../../../src/config/load.ts'
import { listenerChecks } from '../../../src/doctor/listeners.ts'
import { certificateFor } from '../../support/certificate.ts'
import { findingOf, loadedConfig, wrongs } from '../../support/doctor-rig.ts'
import { ownId } from '../../support/workload-company.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const subject = 'listen.agent[0].tls'
const keys = { type: 'jwt-svid', trust_domain: 'acme.example', keys: { file: 'keys.json' } }
const hour = 3_600_000

function file(name: string, text: string): { readonly file: string } {
  writeFileSync(join(folder, name), text)
  return { file: name }
}

/** A configuration with one TLS listener of these files. */
function withFiles(cert: string, key: string): Loaded {
  const tls = { cert: file('cert.pem', cert), key: file('key.pem', key) }
  return { ...loadedConfig({ sources: [keys], listeners: [{ at: '127.0.0.1:7420', tls }] }), folder }
}

describe('a TLS listener with files', () => {
  const { cert, key } = certificateFor('localhost')

  test('is served with a pair that belongs together, and says how long it is good', () => {
    const checks = listenerChecks(withFiles(cert, key), null, Date.now())
    expect(wrongs(checks)).toEqual([])
    expect(checks).toMatchObject([{ subject, seen: expect.stringMatching(/cert\.pem has 59 min \d+ s left$/) }])
  })

  test.each([
    ['the key of another', cert, certificateFor('localhost').key],
    ['no certificate', 'none', key],
    ['no key', cert, 'none'],
  ])('cannot be served with %s', (_, certText, keyText) => {
    const checks = listenerChecks(withFiles(certText, keyText), null, Date.now())
    expect(wrongs(checks)).toEqual([`error CS2601 ${subject}`])
    expect(JSON.stringify(checks)).not.toContain('BEGIN')
  })

  test('cannot be served with files that are not there', () => {
    const loaded = withFiles(cert, key)
    expect(findingOf(listenerChecks({ ...loaded, folder: join(folder, 'elsewhere') }, null, Date.now()), 'CS2601').seen).toContain('ENOENT')
  })

  test.each([
    [-2 * 60_000, 'error CS2602'],
    [hour * 0.95, 'warning CS2603'],
    [hour + 1000, 'error CS2602'],
  ])('%d ms from now is a finding: %s', (off, finding) => {
    expect(wrongs(listenerChecks(withFiles(cert, key), null, Date.now() + off))).toEqual([`${finding} ${subject}`])
  })
})

describe('whatever is served with our SVID', () => {
  const loaded = loadedConfig({
    sources: [{ type: 'spiffe' }],
    listeners: [{ at: '127.0.0.1:7420', tls: 'svid' }, { at: '127.0.0.1:7421' }],
    route: { tls: 'svid', id: 'spiffe://acme.example/crm' },
  })

  test('needs one', () => {
    expect(wrongs(listenerChecks(loaded, null, Date.now()))).toEqual([`error CS2604 ${subject}`, 'error CS2604 forward.routes.crm.tls'])
    expect(wrongs(listenerChecks(loaded, ownId, Date.now()))).toEqual([])
  })
})
