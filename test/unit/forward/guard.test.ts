import { describe, expect, test } from 'vitest'
import { addressClass, mayDial, type AddressClass } from '../../../src/forward/guard.ts'

const table: readonly (readonly [address: string, kind: AddressClass])[] = [
  // metadata services
  ['169.254.169.254', 'never'],
  ['169.254.170.2', 'never'],
  ['100.100.100.200', 'never'],
  ['168.63.129.16', 'never'],
  ['192.0.0.192', 'never'],
  ['fd00:ec2::254', 'never'],
  ['fd00:ec2:0:0:0:0:0:254', 'never'],
  ['FD00:0EC2::0254', 'never'],
  ['fd00:ec2::253', 'never'],
  ['fd20:ce::254', 'never'],
  // the same in IPv6 clothes
  ['::ffff:169.254.169.254', 'never'],
  ['::ffff:a9fe:a9fe', 'never'],
  ['::FFFF:A9FE:A9FE', 'never'],
  ['0:0:0:0:0:ffff:169.254.169.254', 'never'],
  ['0000:0000:0000:0000:0000:ffff:a9fe:a9fe', 'never'],
  ['::169.254.169.254', 'never'],
  ['::a9fe:a9fe', 'never'],
  ['::ffff:0:169.254.169.254', 'never'],
  ['64:ff9b::169.254.169.254', 'never'],
  ['64:ff9b::a9fe:a9fe', 'never'],
  ['64:ff9b:1::a9fe:a9fe', 'never'],
  ['2002:a9fe:a9fe::', 'never'],
  ['2002:a9fe:a9fe::1', 'never'],
  ['2001:0:a9fe:a9fe::', 'never'],
  ['2001:0:4136:e378:8000:63bf:5601:5601', 'never'],
  ['2001:470::5efe:169.254.169.254', 'never'],
  ['2001:470::200:5efe:a9fe:a9fe', 'never'],
  // unspecified, this network, link-local, multicast, broadcast, reserved, documentation
  ['0.0.0.0', 'never'],
  ['0.1.2.3', 'never'],
  ['::', 'never'],
  ['0:0:0:0:0:0:0:0', 'never'],
  ['::ffff:0.0.0.0', 'never'],
  ['64:ff9b::', 'never'],
  ['169.254.0.1', 'never'],
  ['fe80::1', 'never'],
  ['febf::1', 'never'],
  ['fe80::1%eth0', 'never'],
  ['::1%lo', 'never'],
  ['fec0::1', 'never'],
  ['224.0.0.1', 'never'],
  ['239.255.255.250', 'never'],
  ['ff02::1', 'never'],
  ['ff0e::1', 'never'],
  ['255.255.255.255', 'never'],
  ['240.0.0.1', 'never'],
  ['::ffff:255.255.255.255', 'never'],
  ['192.0.2.1', 'never'],
  ['198.51.100.1', 'never'],
  ['203.0.113.1', 'never'],
  ['2001:db8::1', 'never'],
  ['3fff::1', 'never'],
  ['100::1', 'never'],
  ['5f00::1', 'never'],
  ['4000::1', 'never'],
  ['192.88.99.1', 'never'],
  // loopback and private, plain and wrapped
  ['127.0.0.1', 'private'],
  ['127.255.255.254', 'private'],
  ['::1', 'private'],
  ['0:0:0:0:0:0:0:1', 'private'],
  ['::ffff:127.0.0.1', 'private'],
  ['::ffff:7f00:1', 'private'],
  ['::127.0.0.1', 'private'],
  ['64:ff9b::127.0.0.1', 'private'],
  ['2002:7f00:1::', 'private'],
  ['2001:0:4136:e378:8000:63bf:80ff:fffe', 'private'],
  ['10.0.0.1', 'private'],
  ['172.16.0.1', 'private'],
  ['172.31.255.255', 'private'],
  ['192.168.1.1', 'private'],
  ['100.64.0.1', 'private'],
  ['198.18.0.1', 'private'],
  ['fc00::1', 'private'],
  ['fd12:3456:789a::1', 'private'],
  ['::ffff:10.0.0.1', 'private'],
  ['2002:c0a8:101::', 'private'],
  // everything else
  ['1.1.1.1', 'public'],
  ['8.8.8.8', 'public'],
  ['172.15.255.255', 'public'],
  ['172.32.0.1', 'public'],
  ['100.128.0.1', 'public'],
  ['169.253.255.255', 'public'],
  ['223.255.255.255', 'public'],
  ['2606:4700:4700::1111', 'public'],
  ['2a00:1450:4001:800::200e', 'public'],
  ['::ffff:8.8.8.8', 'public'],
  ['64:ff9b::8.8.8.8', 'public'],
  ['2002:808:808::', 'public'],
  // what a resolver never gives
  ['', 'never'],
  ['localhost', 'never'],
  ['0x7f.1', 'never'],
  ['2130706433', 'never'],
  ['0177.0.0.1', 'never'],
  ['127.1', 'never'],
  ['[::1]', 'never'],
  ['127.0.0.1 ', 'never'],
]

describe('addressClass', () => {
  test.each(table)('%s is %s', (address, kind) => {
    expect(addressClass(address)).toBe(kind)
  })

  test('agrees with the URL parser on odd spellings of loopback and metadata', () => {
    for (const spelling of ['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '127.0.0.1.', '①②⑦.0.0.1']) {
      expect(addressClass(new URL(`http://${spelling}/`).hostname)).toBe('private')
    }
    for (const spelling of ['0xa9fea9fe', '2852039166', '0251.0376.0251.0376', '169.254.43518', '0xa9.254.0251.0xfe']) {
      expect(addressClass(new URL(`http://${spelling}/`).hostname)).toBe('never')
    }
  })
})

describe('mayDial', () => {
  test('dials private addresses only for a route that says so, and the rest alike', () => {
    for (const [address, kind] of table) {
      expect(mayDial(address, 'public')).toBe(kind === 'public')
      expect(mayDial(address, 'private')).toBe(kind !== 'never')
    }
  })
})
