import { createHash, createPrivateKey, generateKeyPairSync, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { genesis, LineGroup } from '../../../src/record/chain.ts'
import { readStatement } from '../../../src/record/checkpoint-line.ts'
import { checkpointText, noteSigner, signedNote } from '../../../src/record/checkpoint.ts'
import { openNote, openOwnNote, readVerifierKey } from '../../../src/record/note.ts'

const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest()
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const name = 'ledger.acme.example/one'
const stated = {
  origin: name,
  size: 41,
  root: sha256('tree').toString('base64'),
  chain: sha256('head').toString('base64'),
  time: '2026-11-22T10:14:15.002Z',
  durability: 'written',
  record: sha256('line').toString('base64'),
}

describe('the chain', () => {
  test('a line holds its number and the hash of the bytes before it', () => {
    const part = { kind: 'event', id: 'e_1', rank: 'own', head: '{"custom":{"countersign":{', tail: ',"kind":"event"}}}' } as const
    const group = new LineGroup()
    const lines = (): string[] => Buffer.from(group.bytes).toString('utf8').split('\n')
    const first = group.add(part, 1, genesis)
    expect(lines()[0]).toBe(`{"custom":{"countersign":{"seq":1,"prev":"sha256:${'0'.repeat(64)}","kind":"event"}}}`)
    expect(first.hash).toBe(sha256(lines()[0] ?? '').toString('hex'))
    group.add(part, 2, first.hash)
    expect(lines()[1]).toContain(`"prev":"sha256:${first.hash}"`)
  })

  test('a group holds whole lines of any text and length, counts their bytes, and gives the last one back', () => {
    const part = { kind: 'event', id: 'e_1', rank: 'own', head: '{', tail: `,"t":"é\u0085\u007f${'\u20ac'.repeat(200_000)}"}` } as const
    const group = new LineGroup()
    const kept = group.add({ ...part, tail: '}' }, 1, genesis)
    const first = Buffer.from(group.bytes).toString('utf8')
    const large = group.add(part, 2, kept.hash)
    const [, second = '', end] = Buffer.from(group.bytes).toString('utf8').split('\n')
    expect(second).toBe(`{"seq":2,"prev":"sha256:${kept.hash}","t":"é\\u0085\\u007f${'\u20ac'.repeat(200_000)}"}`)
    expect(large).toEqual({ bytes: Buffer.byteLength(second) + 1, hash: sha256(second).toString('hex') })
    expect([end, group.size]).toEqual(['', kept.bytes + large.bytes])
    group.drop(large)
    expect(Buffer.from(group.bytes).toString('utf8')).toBe(first)
    group.clear()
    expect(group.size).toBe(0)
  })
})

describe('checkpoints (C2SP signed-note, tlog-checkpoint)', () => {
  test('the note is origin, size and root, then extension lines, a blank line and one signature line', () => {
    const note = signedNote(checkpointText(stated), [noteSigner(name, privateKey)])
    const [origin, size, root, chain, time, durability, record, blank, signature, end] = note.split('\n')
    expect([origin, size, root]).toEqual([name, '41', stated.root])
    expect([chain, time, durability, record]).toEqual([
      `chain ${stated.chain}`,
      `time ${stated.time}`,
      'durability written',
      `record ${stated.record}`,
    ])
    expect([blank, end]).toEqual(['', ''])
    expect(signature).toMatch(new RegExp(`^— ${name} [A-Za-z0-9+/]+=*$`))
  })

  test('the signature is Ed25519 over the text up to and with its last newline, after the key id', () => {
    const note = signedNote(checkpointText(stated), [noteSigner(name, privateKey)])
    const signed = Buffer.from(note.trimEnd().split(' ').at(-1) ?? '', 'base64')
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
    expect(signed.subarray(0, 4)).toEqual(sha256(Buffer.concat([Buffer.from(`${name}\n\u0001`), raw])).subarray(0, 4))
    expect(verify(null, Buffer.from(checkpointText(stated)), publicKey, signed.subarray(4))).toBe(true)
  })

  test('a known key (RFC 8032 §7.1, test 1) gives a known verifier key and note', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const signer = noteSigner('ledger', createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
    expect(signer.verifierKey).toBe('ledger+9053680f+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea')
    expect(signedNote('ledger\n0\n', [signer])).toBe(
      'ledger\n0\n\n— ledger kFNoD/Zk4wAbWRW5FnE8rO4lgeZKVDXGly0bOy7NanUr3FEFFJ2KrRdBhweZc4msjXAinGjCRuFyzFBh+OkWKHwiEAQ=\n',
    )
  })

  test('what was signed opens and reads back', () => {
    const signer = noteSigner(name, privateKey)
    const text = openOwnNote(signedNote(checkpointText(stated), [signer]), [readVerifierKey(signer.verifierKey)])
    expect(readStatement(text)).toEqual(stated)
  })

  test('no changed character opens, wherever it is', () => {
    const signer = noteSigner(name, privateKey)
    const note = signedNote(checkpointText(stated), [signer])
    const key = readVerifierKey(signer.verifierKey)
    for (let at = 0; at < note.length; at++) {
      const other = note[at] === 'A' ? 'B' : 'A'
      expect(() => openOwnNote(note.slice(0, at) + other + note.slice(at + 1), [key]), `at ${at}`).toThrow(Error)
    }
  })

  test('a signature whose base64 has stray bits is refused although it decodes to the same bytes', () => {
    const signer = noteSigner(name, privateKey)
    const note = signedNote(checkpointText(stated), [signer])
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = note.lastIndexOf('=') - 1
    const stray = note.slice(0, last) + alphabet[alphabet.indexOf(note[last] ?? '') + 1] + note.slice(last + 1)
    expect(() => openOwnNote(stray, [readVerifierKey(signer.verifierKey)])).toThrow('malformed')
  })

  test('signatures of other keys are passed over, unless exactly ours is wanted', () => {
    const signer = noteSigner(name, privateKey)
    const text = checkpointText(stated)
    const witness = noteSigner('witness.partner.example', generateKeyPairSync('ed25519').privateKey)
    const note = signedNote(text, [signer, witness])
    const key = readVerifierKey(signer.verifierKey)
    expect(openNote(note, [key]).text).toBe(text)
    expect(() => openOwnNote(note, [key])).toThrow('2 signature lines')
    expect(() => openNote(signedNote(text, [signer]), [readVerifierKey(witness.verifierKey)])).toThrow('no signature by a key')
  })

  test.each([
    ['nothing', ''],
    ['a key of another kind', 'ledger+00000000+AgAA'],
    ['a hash that is not its own', noteSigner(name, privateKey).verifierKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')],
    ['too short a key', 'ledger+00000000+AQAA'],
  ])('a verifier key that is %s is refused', (_, text) => expect(() => readVerifierKey(text)).toThrow(Error))

  test.each(['', 'a b', 'a+b', 'a\nb', 'é'])('a ledger cannot be called %j', (bad) =>
    expect(() => noteSigner(bad, privateKey)).toThrow(Error),
  )

  test('a key of another algorithm cannot sign a ledger', () => {
    expect(() => noteSigner(name, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)).toThrow('Ed25519')
  })

  test.each([
    ['a size with a leading zero', (text: string) => text.replace('\n41\n', '\n041\n')],
    ['a negative size', (text: string) => text.replace('\n41\n', '\n-41\n')],
    ['a root that is no hash', (text: string) => text.replace(stated.root, 'AAAA')],
    ['no chain', (text: string) => text.replace(/chain .*\n/, '')],
    ['no last newline', (text: string) => text.trimEnd()],
    ['one line more', (text: string) => `${text}more\n`],
  ])('text with %s is no checkpoint', (_, change) => expect(readStatement(change(checkpointText(stated)))).toBeNull())
})
