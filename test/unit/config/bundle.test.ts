import { describe, expect, test } from 'vitest'
import { ConfigFault } from '../../../src/config/findings.ts'
import { parseConfig } from '../../../src/config/load.ts'
import { configText, routeTo, type Settings } from '../../support/running.ts'

const key = { file: 'policy.pub' }
const url = 'https://policies.acme.example/bundle.tar.gz'

/** Code, severity and message of what is found of this `decide.bundle`. */
function findings(bundle: Settings): readonly string[] {
  const text = configText({ routes: { api: routeTo('http://127.0.0.1:1', 'api') }, settings: { decide: { bundle } } })
  const found = (): ConfigFault['findings'] => {
    try {
      return parseConfig(text, 'countersign.yaml', {}).findings
    } catch (error) {
      if (error instanceof ConfigFault) return error.findings
      throw error
    }
  }
  return found().map(({ code, severity, path, message }) => `${code} ${severity} ${path}: ${message}`)
}

describe('a bundle', () => {
  const good: readonly Settings[] = [
    { path: '/etc/countersign/policy.tar.gz', key: { file: '/etc/countersign/policy.pub' } },
    { path: 'policy', keys: { a: { ...key, algorithm: 'EdDSA', scope: 'write' }, b: key }, scope: 'write', signed_within: '7d' },
    { url, key, poll: { min: '30s', max: '60s' }, long_poll: '5m', max_age: '2h', persist: 'policy' },
    { url, key, auth: { bearer: { file: 'token' } }, ca: { file: 'ca.pem' } },
    { url, key, auth: { bearer: { env: 'TOKEN' } } },
    { url, key, auth: { cert: { file: 'client.pem' }, key: { file: 'client.key' } } },
    { url: 'http://policies.internal/bundle.tar.gz', key },
    { url: 'http://127.0.0.1:8080/bundle.tar.gz', key, auth: { bearer: { file: 'token' } } },
  ]
  test.each(good)('that can be used is passed without a remark: %j', (bundle) => {
    expect(findings(bundle)).toEqual([])
  })

  const weak: readonly Settings[] = [
    { path: 'policy.tar.gz', unsafe_unsigned: true },
    { url, unsafe_unsigned: true },
    { url: 'http://localhost/b', unsafe_unsigned: true },
  ]
  test.each(weak)('that nobody signed is named as a weakening: %j', (bundle) => {
    expect(findings(bundle)).toEqual(['CS1901 note decide.bundle.unsafe_unsigned: decide.bundle.unsafe_unsigned weakens protection'])
  })

  const bad: readonly (readonly [Settings, RegExp])[] = [
    [{ path: 'policy.tar.gz' }, /^CS1701 error decide\.bundle: .*name the key.*or say unsafe_unsigned: true/],
    [{ path: 'policy.tar.gz', keys: {} }, /^CS1701 error decide\.bundle/],
    [{ key }, /^CS1402 error decide\.bundle: .*exactly one of path and url/],
    [{ path: 'a', url, key }, /^CS1402 error decide\.bundle: .*exactly one of path and url/],
    [{ path: 'a', key, keys: { a: key } }, /^CS1402 error decide\.bundle\.keys/],
    [{ path: 'a', key, max_age: '1h' }, /^CS1403 error decide\.bundle\.max_age/],
    [{ path: 'a', key, long_poll: '1m' }, /^CS1403 error decide\.bundle\.long_poll/],
    [{ path: 'a', key, auth: { bearer: { file: 't' } } }, /^CS1403 error decide\.bundle\.auth/],
    [{ path: 'a', key, ca: { file: 't' } }, /^CS1403 error decide\.bundle\.ca/],
    [{ path: 'a', key, kye: key }, /^CS1204 error decide\.bundle\.kye: unknown key "kye", did you mean "key"/],
    [{ path: 'a', key, unsafe_unsigned: true }, /^CS1403 warning decide\.bundle\.unsafe_unsigned/],
    [{ path: 'a', unsafe_unsigned: true, scope: 'a' }, /^CS1403 error decide\.bundle\.scope/],
    [{ path: 'a', unsafe_unsigned: true, signed_within: '1h' }, /^CS1403 error decide\.bundle\.signed_within/],
    [{ path: 'a', key: { ...key, algorithm: 'none' } }, /^CS1201 error decide\.bundle\.key\.algorithm/],
    [{ url, key, poll: { min: '2m', max: '1m' } }, /^CS1201 error decide\.bundle\.poll: .*min is longer than max/],
    [{ url, key, poll: { min: '1ms', max: '1m' } }, /^CS1201 error decide\.bundle\.poll\.min/],
    [{ url: 'ftp://a.example/b', key }, /^CS1201 error decide\.bundle\.url/],
    [{ url: 'https://user:password@a.example/b', key }, /^CS1201 error decide\.bundle\.url: .*no user/],
    [{ url, key, auth: { bearer: 'the token itself' } }, /^CS1301 error decide\.bundle\.auth\.bearer: .*a secret never stands in the file/],
    [{ url, key, auth: { tls: 'svid', id: 'spiffe://acme.example/bundles' } }, /^CS1401 error decide\.bundle\.auth\.tls/],
    [{ url, key, auth: { cert: key } }, /^CS1202 error decide\.bundle\.auth\.cert: missing: decide\.bundle\.auth\.key/],
    [{ url, key, auth: { id: 'spiffe://acme.example/bundles' } }, /^CS1202 error decide\.bundle\.auth\.id: missing: .*tls/],
    [{ url, key, auth: {} }, /^CS1402 error decide\.bundle\.auth/],
    [{ url, key, auth: { bearer: { env: 'T' }, cert: key, key } }, /^CS1402 error decide\.bundle\.auth/],
    [{ url, key, auth: { berer: { env: 'T' } } }, /^CS1204 error decide\.bundle\.auth\.berer: .*did you mean "bearer"/],
    [{ url: 'http://a.example/b', unsafe_unsigned: true }, /^CS1701 error decide\.bundle\.url: .*in clear/],
    [{ url: 'http://a.example/b', key, auth: { bearer: { file: 't' } } }, /^CS1501 error decide\.bundle\.auth/],
    [{ url: 'http://a.example/b', key, auth: { cert: key, key } }, /^CS1201 error decide\.bundle\.auth/],
    [{ url: 'http://a.example/b', key, ca: key }, /^CS1403 error decide\.bundle\.ca/],
  ]
  test.each(bad)('that cannot work so is a finding that says what to do: %j', (bundle, finding) => {
    expect(findings(bundle)).toEqual(expect.arrayContaining([expect.stringMatching(finding)]))
  })
})
