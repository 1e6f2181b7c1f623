/**
 * Before agents are served, calls of a made-up agent go through the whole path, so that the code is compiled and the first real calls are as
 * quick as the later ones. It is all of another Countersign that they go through: another state, ledger, trust, keys, listener and
 * upstream, made for this and gone with it. What is shared with the real one is code.
 */

import { mkdirSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { makeMetrics } from '../admin/metrics.ts'
import type { Loaded } from '../config/load.ts'
import type { Measured } from '../decide/measured.ts'
import { closeFoundation, layFoundation, type Foundation, type InForce, type Log } from '../foundation.ts'
import { listen, type Listening } from '../listen/proxy.ts'
import { listenOptions } from '../listeners.ts'
import { measured, measureOf } from '../measured.ts'
import { PolicyFeeds } from '../policy-feeds.ts'
import { wire, type Wiring } from '../wire.ts'
import { call, type Answers } from './caller.ts'
import { foundCompany, type Company } from './company.ts'
import { openStub, type Stub } from './stub.ts'

/** A rehearsal that can be called at. */
export interface Stage extends Pick<Company, 'svid'> {
  /** Of its agents' listener. */
  readonly port: number
  readonly stub: Stub
  /** Resolves when nothing of it is left. */
  close(): Promise<void>
}

type Around = Pick<Foundation, 'watchdog' | 'version'>

/**
 * Calls for `ms` of this process on processors, setting up and compiling included, for three times as long at most, and until the signal at most. Gives
 * the answers by status; resolves when nothing is left of it. Never rejects: where no rehearsal can be held, that is logged, and the
 * first calls are slower.
 */
export async function rehearse(loaded: Loaded, on: Foundation, { ms, signal }: { ms: number; signal: AbortSignal }): Promise<Answers> {
  const spent = processorTime()
  const limit = AbortSignal.any([signal, AbortSignal.timeout(3 * ms)])
  try {
    const stage = await openStage(folderOf(loaded), on)
    try {
      return await call({ port: stage.port, svid: () => stage.svid(), signal: limit, enough: () => spent() >= ms })
    } finally {
      await stage.close()
    }
  } catch (error) {
    on.log.warn({ why: error instanceof Error ? error.message : 'unknown' }, 'no rehearsal could be held: the first calls will be slower')
    return new Map()
  }
}

/** Gives ms of this process on processors since now, for on a busy machine less is got done in the same time. */
function processorTime(): () => number {
  const began = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000
  }
}

/** Beside the state, which belongs to one process: what a crash left there is nobody else's. */
export function folderOf({ config, folder }: Loaded): string {
  return resolve(folder, `${config.task.state.path}.rehearsal`)
}

/** Makes a Countersign in `folder`, which is emptied before and removed after. Rejects, with nothing left, when a part cannot be had. */
export async function openStage(folder: string, around: Around): Promise<Stage> {
  const open: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (const each of open.splice(0).toReversed()) await each()
  }
  try {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { mode: 0o700 })
    const stub = await openStub()
    open.push(() => stub.close())
    const { loaded, svid } = foundCompany(folder, stub.url)
    const listening = await openPath(loaded, around, open)
    return { port: listening.ports.get('agent.0') ?? 0, stub, svid, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Nobody reads what a rehearsal says of itself. */
const silent: Log = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** How long the policy may take is known by the time that it judges real calls; here nothing hangs on it. */
const unmeasured: Measured = { known: () => true, keep: () => undefined }

/** What a sidecar opens, but for the ports of people and whatever only they could begin. What ends it is put into `open`. */
async function openPath(loaded: Loaded, { watchdog, version }: Around, open: (() => unknown)[]): Promise<Listening> {
  let inForce: InForce | null = null
  const ours = { ...watchdog, watch: watchdog.watch, close: () => Promise.resolve() }
  const foundation = await layFoundation(loaded, { env: {}, log: silent, version, watchdog: ours }, () => inForce)
  open.push(() => closeFoundation(foundation))
  const wiring = wire(loaded, foundation)
  open.push(
    () => wiring.close(null),
    () => wiring.forward.close(),
  )
  inForce = inForceOf(wiring, foundation)
  await wiring.trust.settled(1000)
  await foundation.credential.change(wiring.providers)
  const feeds = new PolicyFeeds({ ...foundation, measured: unmeasured }, () => null)
  open.push(() => feeds.close())
  await feeds.start(loaded)
  const listening = await listen(listenOptions(wiring, foundation, (each) => wiring.handle(each)))
  open.push(() => listening.drain(0))
  return listening
}

/** Calls are counted in metrics of their own, which nobody asks for. */
function inForceOf(wiring: Wiring, foundation: Foundation): InForce {
  const { version } = foundation
  const none = { lapses: () => [], inFlight: () => 0, share: () => 1, ready: () => true }
  const metrics = makeMetrics(measured({ version, foundation, wiring: () => wiring, ...none }))
  const nothing = (): void => undefined
  return {
    ...wiring,
    own: () => null,
    registered: (caller) => wiring.agents.find(caller) !== null,
    observe: (summary) => metrics.observe(measureOf(summary)),
    told: (event) => metrics.told(event),
    delivered: nothing,
    slow: nothing,
    echoed: nothing,
    spansDropped: nothing,
  }
}
