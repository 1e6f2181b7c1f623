import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Command, countersign, type Ran } from '../support/command-line.ts'
import { BundleRig, svidIdentity, webIdentity } from '../support/bundle-rig.ts'
import { doctorConfig, type DoctorConfig } from '../support/doctor-rig.ts'
import { agentId, ownId, WorkloadCompany } from '../support/workload-company.ts'
import { developmentIssuer } from '../../src/demo/issuer.ts'
import { serveWorkloadApi } from '../../src/demo/workload-api.ts'
import { openWorkloadApi } from '../../src/identify/workload-api/workload-api.ts'

let folder: string
let rig: BundleRig
const companies: WorkloadCompany[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'))
  rig = new BundleRig()
  rig.clock.move(Date.now() - rig.clock.now())
})
afterEach(async () => {
  for (const one of companies.splice(0)) await one[Symbol.asyncDispose]()
  await rig.close()
  rmSync(folder, { recursive: true, force: true })
})

async function company(options: Parameters<typeof WorkloadCompany.found>[0] = {}): Promise<WorkloadCompany> {
  const made = await WorkloadCompany.found(options)
  companies.push(made)
  return made
}

function config(settings: DoctorConfig): string {
  const path = join(folder, 'countersign.yaml')
  writeFileSync(path, doctorConfig(settings))
  return path
}

/** What the command says of a configuration; what is wrong as `severity code subject`. */
async function examined(settings: DoctorConfig, ...args: readonly string[]): Promise<Ran & { readonly wrongs: readonly string[] }> {
  const ran = await countersign(['doctor', '--wait', '0s', '--config', config(settings), ...args])
  const wrongs = Array.from(ran.stdout.matchAll(/^(note|warning|error) +(CS\d+) {2}(\S+):/gm), (match) => match.slice(1).join(' '))
  return { ...ran, wrongs }
}

const spiffe = (socket: string, over: object = {}): object => ({ type: 'spiffe', socket, id: ownId, ...over })
const at = 'identify.sources[0]'

describe('doctor', () => {
  test('finds nothing wrong with an identity that works, and exits 0', async () => {
    const { socket } = await company()
    const { code, stdout, stderr, wrongs } = await examined({ sources: [spiffe(socket)] })
    expect({ code, wrongs, stderr }).toEqual({ code: 0, wrongs: [], stderr: 'nothing wrong was found\n' })
    expect(stdout).toMatch(
      new RegExp(`^ok {7}identify\\.sources\\[0\\]: the Workload API at ${socket} .*2 X.509-SVIDs, default ${ownId}, .* left$`, 'm'),
    )
    expect(stdout).not.toMatch(/eyJ|PRIVATE|\u001b/)
  })

  test('looks at the Workload API alone without a configuration, as the variable or the option says', async () => {
    const { socket } = await company()
    const variable = await countersign(['doctor'], { env: { SPIFFE_ENDPOINT_SOCKET: socket } })
    const option = await countersign(['doctor', '--socket', socket], { env: { SPIFFE_ENDPOINT_SOCKET: 'unix:/nowhere' } })
    expect([variable.code, option.code]).toEqual([0, 0])
    expect(variable.stdout).toContain('from SPIFFE_ENDPOINT_SOCKET')
    expect(option.stdout).toContain('from --socket')
    const none = await countersign(['doctor', '--wait', '0s'])
    expect(none).toMatchObject({ code: 1, stdout: expect.stringMatching(/^error {4}CS2001 {2}workload api: .*\n {9}fix: .*\n$/) })
  })

  test('prints the same for programs', async () => {
    const { socket } = await company()
    const { code, stdout } = await examined({ sources: [spiffe(socket, { id: 'spiffe://acme.example/none' })] }, '-o', 'json')
    const { checks } = JSON.parse(stdout)
    expect(code).toBe(1)
    expect(checks[0]).toEqual({ code: null, severity: 'ok', subject: at, seen: expect.stringContaining('answers'), fix: null })
    expect(checks).toContainEqual({
      code: 'CS2101',
      severity: 'error',
      subject: at,
      seen: expect.any(String),
      fix: expect.stringContaining(`${at}.id`),
    })
  })

  test('is coloured on request, never by itself in a pipe, and never with NO_COLOR', async () => {
    const { socket } = await company()
    const args = ['doctor', '--socket', socket]
    const [forced, refused] = await Promise.all([
      countersign(args, { env: { FORCE_COLOR: '1' } }),
      countersign(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }),
    ])
    expect(forced.stdout).toContain('\u001b[32m')
    expect(refused.stdout).not.toContain('\u001b')
  })

  test('exits 0 with warnings and notes alone', async () => {
    const { socket } = await company()
    const { code, wrongs, stderr } = await examined({ sources: [spiffe(socket, { id: undefined })], audience: 'spiffe://acme.example' })
    expect({ code, wrongs }).toEqual({ code: 0, wrongs: [`note CS2106 ${at}`, 'warning CS2305 identify.audience'] })
    expect(stderr).toBe('1 warning, 1 note; docs/doctor.md explains the codes\n')
  })

  test.each([
    [['--wait', 'soon'], '--wait'],
    [['--wait', '61s'], '--wait'],
    [['-o', 'yaml'], '-o'],
    [['now'], 'takes no arguments'],
  ])('%j is wrong usage and says why', async (args, why) => {
    const { code, stdout, stderr } = await countersign(['doctor', ...args])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toContain(why)
  })

  test('exits 78 with a configuration that cannot be used', async () => {
    const path = join(folder, 'bad.yaml')
    writeFileSync(path, 'version: 2\n')
    expect(await countersign(['doctor', '--config', path])).toMatchObject({
      code: 78,
      stdout: '',
      stderr: expect.stringContaining('CS1201'),
    })
  })
})

describe('a Workload API', () => {
  test('that is absent is told with what to mount', async () => {
    const { code, stdout, wrongs } = await examined({ sources: [spiffe(`unix:${folder}/none/api.sock`)] })
    expect({ code, wrongs }).toEqual({ code: 1, wrongs: [`error CS2002 ${at}`] })
    expect(stdout).toContain('csi.spiffe.io')
  })

  test('that has no identity is told with what to create', async () => {
    const acme = await company()
    acme.api.entitle([])
    const { code, stdout, wrongs } = await examined({ sources: [spiffe(acme.socket)] })
    expect({ code, wrongs }).toEqual({ code: 1, wrongs: [`error CS2009 ${at}`] })
    expect(stdout).toContain('spire-server entry create')
  })

  test('that has none yet is asked again, and the wait is told', async () => {
    const acme = await company()
    acme.api.entitle([])
    await using command = new Command(['doctor', '--wait', '60s', '--socket', acme.socket])
    await command.until(({ stderr }) => stderr.includes('waiting up to 60 s'))
    acme.api.entitle([agentId])
    expect(await command.exited).toBe(0)
    expect(command.stdout).toContain(`default ${agentId}`)
  })

  test('is no longer waited for after a signal', async () => {
    const acme = await company()
    acme.api.entitle([])
    await using command = new Command(['doctor', '--wait', '60s', '--socket', acme.socket])
    await command.until(({ stderr }) => stderr.includes('waiting'))
    command.signal('SIGINT')
    expect(await command.exited).toBe(1)
    expect(command.stderr).toContain('stopped before it was done')
  })

  test('goes on telling its other clients: none of them is disturbed', async () => {
    const socket = join(folder, 'api.sock')
    const issuer = await developmentIssuer('acme.example')
    const api = await serveWorkloadApi({ issuer, socket, ids: [ownId], seconds: 300 })
    const running = openWorkloadApi({ address: api.address })
    try {
      const events: string[] = []
      const first = Promise.withResolvers<void>()
      const second = Promise.withResolvers<void>()
      running.watchX509Context(({ kind }) => {
        events.push(kind)
        if (events.length === 1) first.resolve()
        else second.resolve()
      })
      await first.promise
      expect((await examined({ sources: [spiffe(api.address)] })).code).toBe(0)
      expect(events).toEqual(['update'])
      api.rotate()
      await second.promise
      expect(events).toEqual(['update', 'update'])
    } finally {
      running.close()
      await api.close()
    }
  })

  test('whose SVIDs are old, expired or of the future is told by what that means', async () => {
    const off = (ms: number) => company({ ids: [ownId], clock: () => Date.now() + ms })
    const [worn, expired, early] = await Promise.all([off(-270_000), off(-400_000), off(120_000)])
    const look = async ({ socket }: WorkloadCompany) => (await examined({ sources: [spiffe(socket)] })).wrongs
    expect(await look(worn)).toEqual([`warning CS2104 ${at}`])
    expect(await look(expired)).toContain(`error CS2103 ${at}`)
    expect(await look(early)).toEqual([`error CS2201 ${at}`, `error CS2201 ${at}`])
  })

  test('without the trust domain of an agent is told with what to federate', async () => {
    const { socket } = await company()
    const agents = [agentId, 'spiffe://partner.example/agent', 'spiffe://lost.example/agent']
    const { code, stdout, wrongs } = await examined({ sources: [spiffe(socket)], agents })
    expect({ code, wrongs }).toEqual({ code: 1, wrongs: ['error CS2401 task.agents[2].id'] })
    expect(stdout).toContain('-federatesWith spiffe://lost.example')
  })
})

describe('federation', () => {
  const identity = webIdentity()
  const partner = (from: object): object => ({ type: 'bundle', trust_domain: 'partner.example', from })
  const agents = ['spiffe://partner.example/agent']

  test('is fetched for real by both profiles, and the clocks of the servers are compared', async () => {
    const domain = rig.domain('partner.example')
    const host = rig.domain('host.example')
    const date = new Date(Date.now() - 30_000).toUTCString()
    const web = await rig.server(identity, (_, response) => void response.writeHead(200, { date }).end(domain.bundle()))
    const spiffeServer = await rig.server(svidIdentity(host.svid('/endpoint')), (_, response) => void response.end(host.bundle()))
    const ca = { file: rig.file(identity.cert) }
    const { code, stdout, wrongs } = await examined({
      agents,
      sources: [
        partner({ profile: 'https_web', url: `https://localhost:${web.port}/`, ca }),
        {
          type: 'bundle',
          trust_domain: 'host.example',
          from: {
            profile: 'https_spiffe',
            url: `https://localhost:${spiffeServer.port}/`,
            id: 'spiffe://host.example/endpoint',
            bootstrap: { file: rig.file(host.bundle()) },
          },
        },
      ],
    })
    expect({ code, wrongs }).toEqual({ code: 0, wrongs: ['warning CS2202 clock'] })
    expect(stdout).toContain('agrees within 5 s with 1 server')
    expect(stdout.match(/was read: 1 JWT key, 1 authority/g)).toHaveLength(2)
  })

  test('that is broken is told by what broke', async () => {
    const domain = rig.domain('partner.example')
    const impostor = await rig.server(svidIdentity(domain.svid('/other')), (_, response) => void response.end(domain.bundle()))
    const page = await rig.server(identity, (_, response) => void response.end('<html>'))
    const ca = { file: rig.file(identity.cert) }
    const bootstrap = { file: rig.file(domain.bundle()) }
    const wrongId = partner({
      profile: 'https_spiffe',
      url: `https://localhost:${impostor.port}/`,
      id: 'spiffe://partner.example/endpoint',
      bootstrap,
    })
    expect((await examined({ agents, sources: [wrongId] })).wrongs).toEqual([`error CS2505 ${at}`])
    const html = partner({ profile: 'https_web', url: `https://localhost:${page.port}/`, ca })
    expect((await examined({ agents, sources: [html] })).wrongs).toEqual([`error CS2508 ${at}`])
    const untrusted = partner({ profile: 'https_web', url: `https://localhost:${page.port}/` })
    expect((await examined({ agents, sources: [untrusted] })).wrongs).toEqual([`error CS2504 ${at}`])
  })
})
