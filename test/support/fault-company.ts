import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { certificateFor } from './certificate.ts'
import { callBy, type Said } from './fault-call.ts'
import { lineFaults } from './fault-line.ts'
import { configOf, dependencies, Servers, type Dependency, type Lane } from './fault-servers.ts'
import { Running } from './running.ts'

/** A Countersign in this process with a line to each dependency for each fault; policy has one line, for there is one policy. */
export class FaultCompany implements AsyncDisposable {
  readonly lanes: readonly Lane[]
  readonly servers: Servers
  readonly running: Running
  readonly #stack: AsyncDisposableStack
  readonly #clock: { shift: number }

  private constructor(servers: Servers, lanes: readonly Lane[], running: Running, stack: AsyncDisposableStack, clock: { shift: number }) {
    this.servers = servers
    this.lanes = lanes
    this.running = running
    this.#stack = stack
    this.#clock = clock
  }

  /** Starts it; every line but that of the bundle server fails from the beginning. */
  static async start(): Promise<FaultCompany> {
    const stack = new AsyncDisposableStack()
    const servers = stack.use(new Servers())
    await servers.start()
    const tls = { right: certificateFor('localhost'), wrong: certificateFor('localhost') }
    const before = getCACertificates('default')
    setDefaultCACertificates([...before, tls.right.cert])
    stack.defer(() => setDefaultCACertificates(before))
    const lanes: Lane[] = []
    for (const dependency of dependencies)
      for (const fault of dependency === 'bundle' ? lineFaults.slice(0, 1) : lineFaults) {
        if (dependency === 'spire' && fault === 'TLS wrong') continue
        const lane = await servers.lane(dependency, fault, tls)
        if (dependency !== 'bundle') await lane.line.be(fault)
        lanes.push(lane)
      }
    const clock = { shift: 0 }
    const running = await Running.start({ ...configOf(servers, lanes), clock: () => Date.now() + clock.shift })
    stack.use(running)
    return new FaultCompany(servers, lanes, running, stack, clock)
  }

  lanesTo(dependency: Dependency): readonly Lane[] {
    return this.lanes.filter((lane) => lane.dependency === dependency)
  }

  /** Moves the clock on, ms. */
  pass(ms: number): void {
    this.#clock.shift += ms
  }

  /** One call that needs what is at the end of the lane, and nothing else that fails. */
  call(lane: Lane): Promise<Said> {
    return callBy(lane, this.servers, this.running.port(), this.running.issuer)
  }

  /** What reached an upstream through calls of a lane: the credentials that came with it. */
  reached({ name }: Lane): readonly string[] {
    return this.servers.upstream.seen
      .filter(({ url, body }) => url.includes(`/${name}/`) || body.includes(`"${name}/`))
      .map(({ headers }) => String(headers['x-vault-token'] ?? headers.authorization ?? 'none'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
