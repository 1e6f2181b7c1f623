import { expect, test } from 'vitest'
import type { Find } from '../../../src/forward/finds.ts'
import { Secret } from '../../../src/secret.ts'
import { sketchLease, startRig } from '../../support/forward-rig.ts'
import { closeAfterEach, opened } from '../../support/rigs.ts'
import { answering, rawServer } from '../../support/sockets.ts'

closeAfterEach()

test.each<[string, boolean]>([
  ['/bot7301:AAE-live_secret/next?x=1', false],
  ['/next/7301:AAE-live_secret', true],
  ['/bot7301:AAE-live_secret/next?again=7301:AAE-live_secret', true],
])('a link to %s counts as the credential that came back: %s', async (location, counts) => {
  const upstream = await opened(rawServer(answering(`HTTP/1.1 201 Created\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)))
  const found: Find[] = []
  const rig = await opened(
    startRig(upstream.port, {
      route: { credential: 'crm' },
      prefix: '/crm',
      lease: sketchLease({ placement: { in: 'path', template: '/bot{secret}' }, secret: new Secret('7301:AAE-live_secret') }),
      forward: { echoed: (_permit, _lease, find) => found.push(find) },
    }),
  )
  const answer = await fetch(`${rig.url}/crm/a`)
  expect(answer.headers.get('location')).toBe(counts ? null : '/crm/next?x=1')
  expect(found).toEqual(counts ? [{ where: 'header', first: true }] : [])
})
