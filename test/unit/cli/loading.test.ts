import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { commands } from '../../../src/cli/commands.ts'
import { foreignImports } from '../../support/foreign-imports.ts'

const src = resolve(import.meta.dirname, '../../../src')
const brings = (file: string): string[] => foreignImports(resolve(src, file), { later: false })

/** Each takes a tenth of a second to load. */
const slow = ['@grpc/grpc-js', 'undici']

test('the list of commands brings no package along', () => {
  expect(brings('main.ts')).toEqual([])
  expect(commands.length).toBeGreaterThan(0)
})

test.each(['check.ts', 'schema.ts', 'logs.ts', 'task.ts', 'evidence.ts'])('%s brings neither gRPC nor an HTTP client along', (file) => {
  expect(brings(`cli/${file}`).filter((name) => slow.includes(name))).toEqual([])
})

test('a proxy loads gRPC only when a source speaks to a Workload API', () => {
  expect(brings('cli/start.ts')).not.toContain('@grpc/grpc-js')
  expect(foreignImports(resolve(src, 'cli/start.ts'), { later: true })).toContain('@grpc/grpc-js')
})
