import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { endpointAddress, parseAddress } from '../../../src/identify/workload-api/address.ts'
import { WorkloadApiFault } from '../../../src/identify/workload-api/fault.ts'

function faultOf(act: () => unknown): WorkloadApiFault {
  try {
    act()
  } catch (error) {
    if (error instanceof WorkloadApiFault) return error
    throw error
  }
  throw new Error('taken')
}

describe('[Workload Endpoint §4] where the address comes from', () => {
  test('[Workload Endpoint §4] an address that is given counts, whatever the variable says', () => {
    const env = { SPIFFE_ENDPOINT_SOCKET: 'unix:///from/environment.sock' }
    expect(endpointAddress('unix:///given.sock', env).target).toBe('unix:/given.sock')
    expect(endpointAddress(undefined, env).target).toBe('unix:/from/environment.sock')
  })

  test('[Workload Endpoint §4] an address that is given wrong is not replaced by the variable', () => {
    expect(faultOf(() => endpointAddress('', { SPIFFE_ENDPOINT_SOCKET: 'unix:///a' })).code).toBe('address')
  })

  test.each([{}, { SPIFFE_ENDPOINT_SOCKET: undefined }, { SPIFFE_ENDPOINT_SOCKET: '' }])('without either it says what to set', (env) => {
    const fault = faultOf(() => endpointAddress(undefined, env))
    expect(fault).toMatchObject({ code: 'address', name: 'WorkloadApiFault' })
    expect(fault.message).toContain('SPIFFE_ENDPOINT_SOCKET')
  })
})

describe('[Workload Endpoint §4] the form of an address', () => {
  test.each([
    ['unix:/run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:///run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:///tmp/a%20b', 'unix:/tmp/a b'],
    ['unix:///tmp/%C3%A4', 'unix:/tmp/ä'],
    [`unix:/${'a'.repeat(106)}`, `unix:/${'a'.repeat(106)}`],
    ['tcp://127.0.0.1:8000', 'ipv4:127.0.0.1:8000'],
    ['tcp://1.2.3.4:80', 'ipv4:1.2.3.4:80'],
    ['tcp://[::1]:80', 'ipv6:[::1]:80'],
    ['tcp://[2001:db8::1]:65535', 'ipv6:[2001:db8::1]:65535'],
    ['tcp://127.0.0.1:080', 'ipv4:127.0.0.1:80'],
  ])('%s is taken', (text, target) => {
    expect(parseAddress(text)).toEqual({ text, target })
  })

  test.each([
    ['', 'start with unix: or tcp:'],
    ['/run/spire/agent.sock', 'start with unix: or tcp:'],
    ['http://127.0.0.1:80', 'start with unix: or tcp:'],
    ['UNIX:///a', 'lower case'],
    [' unix:///a', 'start with unix: or tcp:'],
    ['unix:', 'write unix:///absolute/path'],
    ['unix:a.sock', 'write unix:///absolute/path'],
    ['unix:./a.sock', 'write unix:///absolute/path'],
    ['unix://', 'write unix:///absolute/path'],
    ['unix://foo', 'must not name a host'],
    ['unix://foo/path', 'must not name a host'],
    ['unix://john:doe@foo/path', 'must not name a host'],
    ['unix:///', 'a socket, not a folder'],
    ['unix:///run/', 'a socket, not a folder'],
    ['unix:///a?b', 'query'],
    ['unix:///a#b', 'fragment'],
    ['unix:///a b', '%20'],
    ['unix:///a\n', '%20'],
    ['unix:///ä', '%20'],
    ['unix:///a%2', '%20'],
    ['unix:///a%ff', 'UTF-8'],
    ['unix:///a%00', 'NUL'],
    [`unix:/${'a'.repeat(107)}`, '107 bytes'],
    ['tcp:127.0.0.1:80', 'tcp://IP:port'],
    ['tcp://', 'IP address'],
    ['tcp://localhost:80', 'not a host name'],
    ['tcp://1:80', 'not a host name'],
    ['tcp://127.1:80', 'not a host name'],
    ['tcp://0x7f.0.0.1:80', 'not a host name'],
    ['tcp://127.0.0.1', 'port'],
    ['tcp://127.0.0.1:', 'IP address'],
    ['tcp://127.0.0.1:0', 'port'],
    ['tcp://127.0.0.1:65536', 'port'],
    ['tcp://127.0.0.1:http', 'IP address'],
    ['tcp://127.0.0.1:80/', 'must not have a path'],
    ['tcp://127.0.0.1:80/foo', 'must not have a path'],
    ['tcp://127.0.0.1:80?q', 'query'],
    ['tcp://127.0.0.1:80#f', 'fragment'],
    ['tcp://john:doe@127.0.0.1:80', 'user'],
    ['tcp://::1:80', 'IP address'],
    ['tcp://[::1%eth0]:80', 'IP address'],
    ['tcp://[127.0.0.1]:80', 'IP address'],
    ['tcp://127.0.0.1:80,10.0.0.1:80', 'IP address'],
  ])('%j is refused with what to write', (text, part) => {
    const fault = faultOf(() => parseAddress(text))
    expect(fault.code).toBe('address')
    expect(fault.message).toContain(part)
  })

  test('whatever is taken is one socket or one IP address with a port; everything else is refused as an address', () => {
    const piece = fc.constantFrom(
      'unix:',
      'tcp:',
      '/',
      '//',
      'a',
      '127.0.0.1',
      '[::1]',
      ':',
      '80',
      '?',
      '#',
      '@',
      '%20',
      '%',
      '..',
      ',',
      ' ',
      '\0',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 8 }).map((parts) => parts.join('')),
        ),
        (text) => {
          let target: string
          try {
            ;({ target } = parseAddress(text))
          } catch (error) {
            expect(error).toMatchObject({ name: 'WorkloadApiFault', code: 'address' })
            expect((error as Error).message).toMatch(/^[\x20-\x7e]*$/)
            return
          }
          expect(target).toMatch(/^(unix:\/[^\0?#]*[^\0?#/]|ipv4:\d+(\.\d+){3}:\d+|ipv6:\[[0-9a-f:.]+\]:\d+)$/i)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
