/** What no single setting of `admin` and `approve` can show. */
import { nameOf } from '../approve/registry.ts'
import type { Finding } from './findings.ts'
import type { Place } from './yaml-text.ts'
import type { Config } from './schema.ts'

/** Takes a well-formed configuration. */
export function peopleFindings(config: Config, place: Place): Finding[] {
  return [...signIn(config, place), ...approvers(config, place), ...roles(config, place), ...channels(config, place)]
}

function signIn({ admin, identify }: Config, place: Place): Finding[] {
  const { oidc } = admin.sign_in
  if (oidc === undefined) return []
  const path = ['admin', 'sign_in', 'oidc']
  if (admin.public_url === undefined)
    return [place('CS1202', 'error', path, 'sign-in needs admin.public_url: the issuer sends browsers back there')]
  const found: Finding[] = []
  if (admin.public_url.startsWith('http:') && !oidc.unsafe_plain)
    found.push(
      place(
        'CS1501',
        'error',
        ['admin', 'public_url'],
        'a session cookie over plain http goes to every port of that host, where agents may listen: use https, or say sign_in.oidc.unsafe_plain: true',
      ),
    )
  if (oidc.approvers.length === 0 && Object.values(admin.roles).every((named) => named.length === 0))
    found.push(place('CS1202', 'error', path, 'nobody may sign in: name approvers here, or people in admin.roles'))
  const audiences = [oidc.client, ...oidc.audiences]
  for (const [index, source] of identify.sources.entries())
    if (source.type === 'oidc' && 'issuer' in source && source.issuer === oidc.issuer && audiences.includes(source.audience))
      found.push(
        place(
          'CS1402',
          'error',
          ['identify', 'sources', index, 'audience'],
          'agents have tokens of this issuer and audience, which would open the admin port: give people a client of their own',
        ),
      )
  return found
}

/** Only a sign-in issuer knows people and groups that do not stand in the file. */
function roles({ admin }: Config, place: Place): Finding[] {
  if (admin.sign_in.oidc !== undefined) return []
  const known = new Set(admin.approvers.flatMap(({ name, groups }) => [`person:${name}`, ...groups.map((group) => `group:${group}`)]))
  return Object.entries(admin.roles).flatMap(([role, named]) =>
    named
      .filter((one) => !known.has(one))
      .map((one) => place('CS1401', 'error', ['admin', 'roles', role], `nobody is "${one}": no such entry or group in admin.approvers`)),
  )
}

/** A name, a key or a subject that stands twice would make one person two, or two people one. */
function approvers({ admin }: Config, place: Place): Finding[] {
  return (['name', 'key', 'subject'] as const).flatMap((member) => {
    const values = admin.approvers.map((one) => one[member])
    return values.flatMap((value, index) =>
      value === undefined || values.indexOf(value) === index
        ? []
        : [place('CS1402', 'error', ['admin', 'approvers', index, member], `this ${member} stands twice: one entry a person`)],
    )
  })
}

function channels({ approve }: Config, place: Place): Finding[] {
  const names = approve.channels.map((settings) => nameOf(settings))
  const found = names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [place('CS1402', 'error', ['approve', 'channels', index], `a channel is called "${name}" already: give it a name`)],
  )
  const to = approve.escalate?.to
  const path = ['approve', 'escalate', 'to']
  if (to !== undefined && !names.includes(to)) found.push(place('CS1401', 'error', path, `no channel is called "${to}"`))
  const tells = approve.channels.filter(({ type }) => type !== 'page').map((settings) => nameOf(settings))
  if (to !== undefined && names.includes(to) && !tells.includes(to))
    found.push(place('CS1403', 'error', path, `the channel "${to}" is looked at, it tells nobody`))
  if (approve.escalate !== undefined && tells.length === 0)
    found.push(place('CS1403', 'warning', ['approve', 'escalate'], 'there is no channel that tells anybody'))
  return found
}
