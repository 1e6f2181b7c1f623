import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { sinkChecks } from '../../../src/doctor/sinks.ts'
import { means, wrongs } from '../../support/doctor-rig.ts'
import { Loopback } from '../../support/loopback.ts'
import { configText, routeTo } from '../../support/running.ts'

function configOf(at: string, sinks: readonly object[]) {
  const settings = { record: { sinks }, listen: { health: { at } } }
  return parseConfig(configText({ routes: { crm: routeTo('https://crm.acme.example', 'crm') }, settings }), 'countersign.yaml', {}).config
}

const stdout = { type: 'stdout' }
const siem = { type: 'opa', name: 'siem', url: 'https://siem.example' }

test('doctor says which sinks of a running Countersign are behind and what their receivers do not have', async () => {
  const rows = [
    'countersign_sink_lag_lines{sink="stdout"} 3',
    'countersign_sink_lag_seconds{sink="stdout"} 59',
    'countersign_sink_lag_lines{sink="siem"} 12000',
    'countersign_sink_lag_seconds{sink="siem"} 3600',
    'countersign_sink_gap_lines_total{sink="siem",reason="pruned"} 7',
    'countersign_sink_gap_lines_total{sink="siem",reason="too-large"} 1',
  ]
  await using running = await new Loopback((_request, response) => void response.end(rows.join('\n'))).listen()
  const checks = await sinkChecks(configOf(new URL(running.url).host, [stdout, siem]), means())
  expect(wrongs(checks)).toEqual(['warning CS2901 record.sinks[1]', 'warning CS2902 record.sinks[1]'])
  expect(checks.map(({ seen }) => seen)).toEqual([
    'the sink "stdout" keeps up',
    'the sink "siem" is 12000 lines behind, the oldest of which is 1 h old',
    'the receiver of the sink "siem" does not have 8 lines, or not whole',
  ])
})

test('doctor says that it cannot see sinks when nobody runs, and nothing where there are none', async () => {
  expect(await sinkChecks(configOf('127.0.0.1:1', [stdout]), means())).toMatchObject([{ severity: 'ok', subject: 'record.sinks' }])
  expect(await sinkChecks(configOf('127.0.0.1:1', []), means())).toEqual([])
})
