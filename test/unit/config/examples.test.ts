import { generateKeyPairSync } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { publicText } from '../../../src/cli/key-pair.ts'
import { loadConfig } from '../../../src/config/load.ts'

const folder = resolve(import.meta.dirname, '../../../examples')
const ports = { AGENT_PORT: '7420', ADMIN_PORT: '7421', HEALTH_PORT: '7423', TLS_PORT: '7424' }
const socket = { SPIFFE_ENDPOINT_SOCKET: 'unix:/run/spire/agent.sock' }
const urls = { CRM_URL: 'http://127.0.0.1:1', MAIL_URL: 'http://127.0.0.1:2', PAYMENTS_URL: 'http://127.0.0.1:3' }
const person = { PERSON: 'ada', PERSON_KEY: publicText(generateKeyPairSync('ed25519').privateKey) }

test.each(readdirSync(folder))('the example %s passes check, and nothing in it is an error or a warning', (name) => {
  const { findings } = loadConfig(join(folder, name, 'countersign.yaml'), { ...ports, ...socket, ...urls, ...person })
  expect(findings.filter(({ severity }) => severity !== 'note')).toEqual([])
})
