/** What the kernel knows about a process tree and about the cores. Linux only. */

import { readdirSync, readFileSync } from 'node:fs'

/** Nanoseconds on a core so far, of every thread of a process and of all its descendants. */
export function cpuTime(pid: number): number {
  let sum = 0
  for (const member of processTree(pid)) {
    for (const thread of list(`/proc/${member}/task`)) sum += Number(text(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0] ?? 0)
  }
  return sum
}

/** Proportional set size of the tree, bytes: pages shared by several processes count once. */
export function memory(pid: number): number {
  let sum = 0
  for (const member of processTree(pid)) sum += Number(/^Pss:\s+(\d+)/m.exec(text(`/proc/${member}/smaps_rollup`))?.[1] ?? 0) * 1024
  return sum
}

/** Bytes of one process in memory, what it shares counted whole. */
export function resident(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

/** Nanoseconds that a core was busy so far with anything at all, in steps of a clock tick. */
export function coreTime(core: number): number {
  const row = text('/proc/stat')
    .split('\n')
    .find((line) => line.startsWith(`cpu${core} `))
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (row ?? '').split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softirq + steal) * 1e7
}

function processTree(pid: number): number[] {
  const found = [pid]
  for (const member of found) {
    for (const thread of list(`/proc/${member}/task`)) {
      const children = text(`/proc/${member}/task/${thread}/children`).trim()
      if (children !== '') found.push(...children.split(' ').map(Number))
    }
  }
  return found
}

/** Threads and processes come and go while they are counted. */
function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
