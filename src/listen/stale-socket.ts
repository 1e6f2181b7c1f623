import { lstat } from 'node:fs/promises'
import { connect } from 'node:net'

/** True when a unix socket that nobody answers on stands at this path: what a killed process left. Never for any other file. */
export async function isStaleSocket(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSocket() && !(await answers(path))
  } catch {
    return false
  }
}

/** Whether a process still listens there. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
