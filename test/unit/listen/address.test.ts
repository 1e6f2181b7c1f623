import { describe, expect, it } from 'vitest'
import { addressTable, isTaskId, locate, type Place } from '../../../src/listen/address.ts'
import { routeAddress } from '../../support/listen-rig.ts'

const task = 't_01JD00000000000000000000AB'
const table = addressTable(
  [
    routeAddress('crm'),
    routeAddress('crm-admin', { at: '/crm/admin' }),
    routeAddress('named', { at: null, host: 'crm.acme.example' }),
    routeAddress('exact', { at: null, host: 'pay.acme.example:7420' }),
    routeAddress('own', { at: null }),
  ],
  ['agents.acme.example', 'other.acme.example:9000'],
)

/** `route prefix target`, or why not. */
function lead(target: string, host = 'localhost:7420', owner: string | null = null): string {
  return told(locate(table, owner, 'http', host, target))
}

function told(place: Place): string {
  return place.problem ?? [place.kind === 'route' ? place.route?.name : place.kind, place.prefix, place.target].join(' ')
}

describe('a prefix', () => {
  it.each([
    ['/crm/a', 'crm /crm /a'],
    ['/crm', 'crm /crm /'],
    ['/crm?x', 'crm /crm /?x'],
    ['/crm?', 'crm /crm /?'],
    ['/crm/', 'crm /crm /'],
    ['/crm//a', 'crm /crm //a'],
    ['/crm/admin', 'crm-admin /crm/admin /'],
    ['/crm/admin/x?y', 'crm-admin /crm/admin /x?y'],
    ['/crm/administrators', 'crm /crm /administrators'],
    ['/crm/%61dmin', 'crm /crm /%61dmin'],
    ['/crmx/a', 'none  /crmx/a'],
    ['/c%72m/a', 'none  /c%72m/a'],
    ['/CRM/a', 'none  /CRM/a'],
    ['//crm/a', 'none  //crm/a'],
    ['/', 'none  /'],
    ['/x?/crm/a', 'none  /x?/crm/a'],
  ])('matches whole segments, longest first: %s', (target, expected) => {
    expect(lead(target)).toBe(expected)
  })

  it('may be empty and takes what no longer one does', () => {
    const open = addressTable([routeAddress('all', { at: '/' }), routeAddress('crm')], [])
    expect(told(locate(open, null, 'http', 'localhost', '/a/b'))).toBe('all  /a/b')
    expect(told(locate(open, null, 'http', 'localhost', '/crm/b'))).toBe('crm /crm /b')
  })
})

describe('a Host', () => {
  it.each([
    '127.0.0.1',
    '127.0.0.1:7420',
    'localhost',
    'localhost:1',
    '[::1]',
    '[::1]:7420',
    'agents.acme.example',
    'agents.acme.example:1',
    'other.acme.example:9000',
  ])('%s is served on prefixes', (host) => {
    expect(lead('/crm/a', host)).toBe('crm /crm /a')
  })

  it.each([
    'evil.example',
    'evil.example:7420',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '127.0.0.2',
    '[::2]',
    'other.acme.example',
    'other.acme.example:1',
    '',
  ])('%s is not: a page whose name was made to point here gets nothing, nor the agent API', (host) => {
    expect(lead('/crm/a', host)).toBe('the Host is not served here')
    expect(lead('/.countersign/v1/tasks', host)).toBe('the Host is not served here')
    expect(lead(`/t/${task}/crm/a`, host)).toBe('the Host is not served here')
  })

  it('that is a route leads there before any prefix, with nothing cut off', () => {
    expect(lead('/crm/a', 'crm.acme.example')).toBe('named  /crm/a')
    expect(lead('/crm/a', 'crm.acme.example:7420')).toBe('named  /crm/a')
    expect(lead(`/t/${task}/crm/a`, 'crm.acme.example')).toBe(`named  /t/${task}/crm/a`)
    expect(lead('/.countersign/v1/tasks', 'crm.acme.example')).toBe('named  /.countersign/v1/tasks')
  })

  it('with a port is a route on that port alone', () => {
    expect(lead('/a', 'pay.acme.example:7420')).toBe('exact  /a')
    expect(lead('/a', 'pay.acme.example')).toBe('the Host is not served here')
  })
})

describe('an own port', () => {
  it('comes before Host and prefix and reserves nothing', () => {
    expect(lead('/crm/a', 'crm.acme.example', 'own')).toBe('own  /crm/a')
    expect(lead(`/t/${task}/crm/a`, 'localhost', 'own')).toBe(`own  /t/${task}/crm/a`)
    expect(lead('/.countersign/v1/tasks', 'localhost', 'own')).toBe('own  /.countersign/v1/tasks')
  })

  it('of a route that is gone leads nowhere', () => {
    expect(lead('/a', 'localhost', 'gone')).toBe('none  /a')
  })
})

describe('a task in the path', () => {
  it('is cut off with the prefix', () => {
    expect(locate(table, null, 'http', 'localhost', `/t/${task}/crm/admin/x?y`)).toMatchObject({
      task,
      prefix: `/t/${task}/crm/admin`,
      target: '/x?y',
    })
    expect(lead(`/t/${task}/crm`)).toBe(`crm /t/${task}/crm /`)
    expect(lead(`/t/${task}/nothing/x`)).toBe(`none /t/${task} /nothing/x`)
    expect(lead(`/t/${task}`)).toBe(`none /t/${task} /`)
  })

  it.each([
    '/t/',
    '/t//crm/a',
    '/t/x/crm/a',
    `/t/${task}x/crm/a`,
    `/t/${task.toLowerCase()}/crm/a`,
    '/t/t_01JD00000000000000000000A%42/crm',
    `/t/c${task.slice(1)}/crm`,
  ])('%s names none', (target) => {
    expect(lead(target)).toBe('the path names no well-formed task')
  })

  it('is a ULID in Crockford letters', () => {
    expect(isTaskId(task)).toBe(true)
    for (const letter of ['I', 'L', 'O', 'U', 'a']) expect(isTaskId(task.slice(0, -1) + letter)).toBe(false)
    expect(isTaskId(`${task}\n`)).toBe(false)
  })
})

describe('the agent API', () => {
  it('is on the shared port, under its own prefix', () => {
    expect(lead('/.countersign/v1/tasks')).toBe('agent-api /.countersign /v1/tasks')
    expect(lead('/.countersign')).toBe('agent-api /.countersign /')
    expect(lead('/.countersignx/v1')).toBe('none  /.countersignx/v1')
    expect(lead(`/t/${task}/.countersign/v1/tasks`)).toBe(`none /t/${task} /.countersign/v1/tasks`)
  })
})

describe('the form of a request target', () => {
  it('may be absolute when its authority is the Host; the rest counts byte for byte', () => {
    expect(lead('http://localhost:7420/crm/%7Ea?b', 'localhost:7420')).toBe('crm /crm /%7Ea?b')
    expect(lead('HTTP://LOCALHOST:7420/crm/a', 'localhost:7420')).toBe('crm /crm /a')
    expect(lead('http://localhost:7420', 'localhost:7420')).toBe('none  /')
    expect(lead('http://localhost:7420?x', 'localhost:7420')).toBe('none  /?x')
  })

  it.each([
    ...'http://localhost/crm/a http://evil.example/crm/a http://localhost:7420@evil.example/crm'.split(' '),
    ...'http://user@localhost:7420/crm/a http:///crm/a'.split(' '),
    ...'https://localhost:7420/crm/a ftp://localhost:7420/crm/a * crm/a ?x localhost:7420 http:/localhost:7420/crm'.split(' '),
    '',
  ])('is refused as %s', (target) => {
    expect(lead(target, 'localhost:7420')).toBe('the request target is in no form that is served here')
  })
})
