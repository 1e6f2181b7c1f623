import { check } from './check.ts'
import type { Command } from './command.ts'
import { evidence } from './evidence.ts'
import { logs } from './logs.ts'
import { schema } from './schema.ts'
import { start } from './start.ts'
import { task } from './task.ts'

/** Every command, in the order of the overview. */
export const commands: readonly Command[] = [start, check, schema, logs, task, evidence]
