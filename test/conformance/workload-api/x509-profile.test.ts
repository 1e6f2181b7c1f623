import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { makeAuthority } from '../../../src/demo/x509.ts'
import { readX509Bundles, readX509Context } from '../../../src/identify/workload-api/x509-context.ts'
import { x509BundlesResponse } from '../../../src/identify/workload-api/x509-messages.ts'
import type { X509SvidMessage } from '../../../src/identify/workload-api/x509-messages.ts'
import { makeCa, makeLeaf, uriNames } from '../../support/x509.ts'
import { agent, authority, byId, proxy, svidMessage, x509Answer, x509BundlesAnswer } from '../../support/workload-rig.ts'

const acme = authority()
const partner = authority('partner.example')
/** As they come out: without the Buffer around them. */
const acmeRoot = new Uint8Array(acme.certificate)
const partnerRoot = new Uint8Array(partner.certificate)

function read(svids: readonly X509SvidMessage[], federated: Readonly<Record<string, Uint8Array>> = {}) {
  return readX509Context(x509Answer(svids, { federatedBundles: byId(federated) }), null)
}

function svid(changes: Partial<X509SvidMessage> = {}): X509SvidMessage {
  return svidMessage(acme, agent, changes)
}

describe('an X.509-SVID as it is sent', () => {
  test('[Workload API §5.2.1] comes with its chain, key, bundle and times', () => {
    const issued = acme.issue({ id: agent, seconds: 600 })
    const { svids } = read([
      {
        spiffeId: agent,
        x509Svid: Buffer.concat([...issued.chain, acme.certificate]),
        x509SvidKey: Buffer.from(issued.key ?? []),
        bundle: Buffer.concat([acme.certificate, partner.certificate]),
        hint: 'internal',
      },
    ])
    const [only] = svids
    expect(only).toMatchObject({
      hint: 'internal',
      chain: [...issued.chain.map((der) => new Uint8Array(der)), acmeRoot],
      bundle: [acmeRoot, partnerRoot],
    })
    expect(only?.id).toEqual({ id: agent, trustDomain: 'acme.example', path: '/agent' })
    expect(only?.expires).toBe(issued.expires)
    expect(only?.serial).toMatch(/^[0-9a-f]+$/)
    expect(only?.key.equals(createPrivateKey({ key: Buffer.from(issued.key ?? []), format: 'der', type: 'pkcs8' }))).toBe(true)
  })

  test('[Workload API §5.2.1] ends when the first certificate of its chain ends', () => {
    const short = makeAuthority({ trustDomain: 'acme.example', seconds: 60 })
    const issued = acme.issue({ id: agent, seconds: 600 })
    const [only] = read([
      svid({ x509Svid: Buffer.concat([...issued.chain, short.certificate]), x509SvidKey: Buffer.from(issued.key ?? []) }),
    ]).svids
    expect(only?.expires).toBe(short.expires)
  })

  test.each([
    ['with a byte behind its chain', { x509Svid: Buffer.concat([...acme.issue({ id: agent, seconds: 60 }).chain, Buffer.from([0])]) }],
    ['with a chain that is cut', { x509Svid: Buffer.from(acme.issue({ id: agent, seconds: 60 }).chain[0]?.subarray(0, -1) ?? []) }],
    ['with a chain of something else', { x509Svid: Buffer.from([0x30, 0x03, 0x02, 0x01, 0x01]) }],
    ['with a PEM chain', { x509Svid: Buffer.from('-----BEGIN CERTIFICATE-----\n') }],
    ['with a byte behind its bundle', { bundle: Buffer.concat([acme.certificate, Buffer.from([0])]) }],
    ['with the key of another', { x509SvidKey: Buffer.from(acme.issue({ id: agent, seconds: 60 }).key ?? []) }],
    ['with a key of another kind', { x509SvidKey: generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' }) }],
    [
      'with an encrypted key',
      {
        x509SvidKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
          format: 'der',
          type: 'pkcs8',
          cipher: 'aes-256-cbc',
          passphrase: 'x',
        }),
      },
    ],
    [
      'with a SEC1 key',
      { x509SvidKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'der', type: 'sec1' }) },
    ],
    ['with bytes for a key', { x509SvidKey: Buffer.from('a key that nobody may see') }],
    ['for an ID that its certificate does not have', { spiffeId: proxy }],
    ['for a trust domain', { spiffeId: 'spiffe://acme.example' }],
    ['for something that is no SPIFFE ID', { spiffeId: 'https://acme.example/agent' }],
    ['for an ID in upper case', { spiffeId: 'SPIFFE://acme.example/agent' }],
  ])('[Workload API §5.2.1] %s is discarded, and the reason shows no key', (_, changes) => {
    const message = svid(changes)
    const key = Buffer.from(message.x509SvidKey).toString('base64')
    try {
      read([message])
    } catch (error) {
      const shown = inspect(error, { depth: 9, showHidden: true })
      expect(error).toMatchObject({ code: 'malformed' })
      expect(shown).not.toContain(key.slice(0, 20))
      expect(shown).not.toContain('nobody may see')
      return
    }
    throw new Error('taken')
  })

  test('[Workload API §5.2.1] with a byte behind its key is discarded', () => {
    const issued = acme.issue({ id: agent, seconds: 60 })
    const x509SvidKey = Buffer.concat([Buffer.from(issued.key ?? []), Buffer.from([0])])
    expect(() => read([svid({ x509Svid: Buffer.concat(issued.chain), x509SvidKey })])).toThrow('PKCS#8')
  })

  test('[Workload API §5.2.1] whose certificate names other things beside its ID is taken; one for an ID of another trust domain is not', () => {
    const answer = (id: string, dns: readonly string[]) => {
      const issued = acme.issue({ id, seconds: 60, dns })
      return [svid({ x509Svid: Buffer.concat(issued.chain), x509SvidKey: Buffer.from(issued.key ?? []) })]
    }
    expect(read(answer(agent, ['a.example'])).svids).toHaveLength(1)
    expect(() => read(answer('spiffe://partner.example/agent', []))).toThrow('not for that ID alone')
  })

  test.each([
    ['two URIs', [agent, proxy]],
    ['its URI twice', [agent, agent]],
    ['a URI that only begins as the ID does', [`${agent}/more`]],
    ['no URI', []],
  ])('[Workload API §5.2.1] whose certificate has %s is discarded', (_, uris) => {
    const leaf = makeLeaf({ names: uris.length === 0 ? null : uriNames(...uris) }, makeCa())
    const x509SvidKey = leaf.keys.privateKey.export({ format: 'der', type: 'pkcs8' })
    expect(() => read([svid({ x509Svid: leaf.der, x509SvidKey })])).toThrow('not for that ID alone')
  })

  test('[Workload API §5.2.1] the key shows in no way of printing it, and its bytes in the message are overwritten', () => {
    const message = x509Answer([svid()])
    const before = Buffer.from(message)
    const context = readX509Context(message, null)
    const key = context.svids[0]?.key.export({ format: 'der', type: 'pkcs8' }) ?? Buffer.alloc(0)
    expect(before.includes(key)).toBe(true)
    expect(message.includes(key)).toBe(false)
    const shown = `${inspect(context, { depth: 9, showHidden: true })}${JSON.stringify(context)}`
    expect(shown).not.toContain(key.toString('base64').slice(60, 100))
    expect(shown).not.toContain(key.toString('hex').slice(100, 140))
  })

  test('[Workload API §5.2.1] of SVIDs with the same hint the first counts, and none is no hint', () => {
    const { svids } = read([
      svid({ hint: 'internal' }),
      svidMessage(acme, proxy, { hint: 'internal' }),
      svidMessage(acme, proxy),
      svidMessage(acme, 'spiffe://acme.example/third'),
      svidMessage(acme, proxy, { hint: 'external' }),
    ])
    expect(svids.map(({ id, hint }) => `${id.path} ${hint}`)).toEqual(['/agent internal', '/proxy ', '/third ', '/proxy external'])
  })

  test('[Workload API §5.2.1] of two SVIDs that disagree on the bundle of their trust domain both are discarded', () => {
    expect(() => read([svid(), svidMessage(acme, proxy, { bundle: Buffer.from(partner.certificate) })])).toThrow('two different bundles')
  })
})

describe('bundles', () => {
  test('[Workload API §4.6; Workload API §5.2.1] each trust domain has its own, never merged', () => {
    const { bundles } = read([svid()], { 'partner.example': partner.certificate })
    expect(bundles.get('acme.example')).toEqual([acmeRoot])
    expect(bundles.get('partner.example')).toEqual([partnerRoot])
    expect(bundles.get('third.example')).toBeUndefined()
  })

  test('[Workload API §4.6] a federated bundle cannot put itself in the place of the own one', () => {
    expect(() => read([svid()], { 'acme.example': partner.certificate })).toThrow('two different bundles')
    expect(read([svid()], { 'acme.example': acme.certificate }).bundles.size).toBe(1)
  })

  test.each([
    'acme.example',
    'spiffe://acme.example/',
    'spiffe://acme.example/x',
    'spiffe://ACME.example',
    '',
    '__proto__',
    'https://acme.example',
  ])('[Workload API §5.2.2] under %j a message is discarded: it is not the ID of a trust domain', (key) => {
    const message = x509Answer([svid()], { federatedBundles: new Map([[key, partner.certificate]]) })
    expect(() => readX509Context(message, null)).toThrow()
    const known = new Map([[key, partner.certificate]])
    expect(() => readX509Bundles(x509BundlesResponse.encode({ crl: [], bundles: known }), null)).toThrow()
  })

  test('[Workload API §5.2.2] are lists of certificates, empty for a trust domain without authorities', () => {
    const two = Buffer.concat([partner.certificate, acme.certificate])
    const { bundles } = readX509Bundles(
      x509BundlesAnswer({ 'acme.example': acme.certificate, 'partner.example': two, 'gone.example': Buffer.alloc(0) }),
      null,
    )
    expect(bundles.get('partner.example')).toEqual([partnerRoot, acmeRoot])
    expect(bundles.get('gone.example')).toEqual([])
  })

  test('[Workload API §5.2.2] with anything but certificates behind one another a message is discarded', () => {
    const broken = Buffer.concat([partner.certificate, Buffer.from([0x04, 0x00])])
    expect(() => readX509Bundles(x509BundlesAnswer({ 'partner.example': broken }), null)).toThrow('not certificates and nothing else')
  })

  test('the array of a bundle stays the same for as long as its certificates do', () => {
    const first = read([svid()], { 'partner.example': partner.certificate })
    const again = readX509Context(x509Answer([svid()], { federatedBundles: byId({ 'partner.example': partner.certificate }) }), first)
    expect(again.bundles.get('acme.example')).toBe(first.bundles.get('acme.example'))
    expect(again.svids[0]?.bundle).toBe(first.svids[0]?.bundle)
    const changed = readX509Context(x509Answer([svid()], { federatedBundles: byId({ 'partner.example': acme.certificate }) }), again)
    expect(changed.bundles.get('partner.example')).not.toBe(first.bundles.get('partner.example'))
  })
})
