import { Refusal } from '../refusal.ts'
import type { State, TaskRow } from '../state/state.ts'
import type { Tasks } from '../task/tasks.ts'
import type { TaskVerbs } from './admin.ts'

/** The verbs of tasks as people use them: whoever paused, a person may lift it. Throws task.unknown for a task that never was. */
export function personTasks(state: State, tasks: Tasks): TaskVerbs {
  const known = async (id: string): Promise<TaskRow> => {
    const row = await state.task(id)
    if (row === null) throw new Refusal('task.unknown')
    return row
  }
  return {
    list: async (filter) => state.tasks(filter),
    read: async (id) => state.task(id),
    pause: async (id, by, reason) => tasks.pause(await known(id), { kind: 'person', name: `person:${by}` }, reason),
    resume: async (id, by) => tasks.resumeByPerson(await known(id), `person:${by}`),
    complete: async (id, by, reason) => tasks.complete(await known(id), { kind: 'person', name: `person:${by}` }, reason),
  }
}
