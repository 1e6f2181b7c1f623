import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { getuid, pid, platform } from 'node:process'

/** Network namespaces of Linux as the pods of a cluster, with a node between them that lets through what network policies would. */

const all = new Set<string>()
process.on('exit', () => {
  for (const name of all) spawnSync('ip', ['netns', 'del', name])
})

/** Why this machine cannot have them, or why another user could not run `program` there; null: nothing is in the way. */
export function networksHindrance(program: string): string | null {
  if (platform !== 'linux') return 'not Linux'
  if (getuid?.() !== 0) return 'not root'
  for (const [tool, word] of [
    ['ip', '-V'],
    ['nft', '--version'],
    ['setpriv', '--version'],
    ['curl', '--version'],
  ] as const)
    if (spawnSync(tool, [word]).error !== undefined) return `there is no ${tool}`
  const read = spawnSync('setpriv', ['--reuid=65532', '--regid=65532', '--clear-groups', 'head', '-c', '1', program])
  if (read.status !== 0) return 'other users cannot read the checkout'
  const name = `cs-${pid}-try`
  const made = spawnSync('ip', ['netns', 'add', name]).status === 0
  const rules = made && spawnSync('ip', ['netns', 'exec', name, 'nft', 'list', 'ruleset']).status === 0
  spawnSync('ip', ['netns', 'del', name])
  return rules ? null : 'no network namespace with rules may be made here'
}

/** A way that the node lets through: from one pod to a port of another. */
export interface Way {
  readonly from: string
  readonly to: string
  readonly port: number
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** One node and its pods, each in a namespace of its own; all of it is gone at the end. */
export class Node implements AsyncDisposable {
  readonly #pods = new Map<string, string>()
  readonly #children = new Set<ChildProcess>()

  constructor(...pods: readonly string[]) {
    this.#add('node')
    this.#in('node', 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    for (const [at, pod] of pods.entries()) this.#attach(pod, at + 1)
  }

  /** IPv4 address of a pod. */
  address(pod: string): string {
    return this.#pods.get(pod) ?? ''
  }

  /** Nothing else goes from one pod to another: a connection that is not let through gets no answer at all, as with a NetworkPolicy. */
  let(ways: readonly Way[]): void {
    const lines = ways.map(({ from, to, port }) => `ip saddr ${this.address(from)} ip daddr ${this.address(to)} tcp dport ${port} accept`)
    const chain = ['type filter hook forward priority filter; policy drop;', 'ct state established,related accept', ...lines].join('\n')
    this.rules('node', `flush ruleset\ntable ip policies {\nchain forward {\n${chain}\n}\n}\n`)
  }

  /** Loads rules of nftables in the namespace of a pod. */
  rules(pod: string, text: string): void {
    execFileSync('ip', ['netns', 'exec', nameOf(pod), 'nft', '-f', '-'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] })
  }

  /** Runs a program in a pod as a user, to its end. */
  run(pod: string, user: number, words: readonly string[]): Ran {
    const { status, stdout, stderr } = spawnSync('ip', this.#as(pod, user, words), { encoding: 'utf8', timeout: 20_000 })
    return { code: status, stdout, stderr }
  }

  /** Starts a program in a pod as a user; resolves with the line of its standard error or output that matches. */
  start(pod: string, user: number, words: readonly string[], up: RegExp): Promise<string> {
    const child = spawn('ip', this.#as(pod, user, words), { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#children.add(child)
    return new Promise((resolve, reject) => {
      let told = ''
      const look = (part: Buffer): void => {
        told += part.toString('utf8')
        const line = told.split('\n').find((each) => up.test(each))
        if (line !== undefined) resolve(line)
      }
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      child.once('exit', (code) => reject(new Error(`it ended (${code}): ${told}`)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      const gone = new Promise((resolve) => void child.once('exit', resolve))
      if (child.exitCode === null && child.kill('SIGKILL')) await gone
    }
    for (const pod of ['node', ...this.#pods.keys()]) {
      spawnSync('ip', ['netns', 'del', nameOf(pod)])
      all.delete(nameOf(pod))
    }
  }

  #as(pod: string, user: number, words: readonly string[]): string[] {
    return ['netns', 'exec', nameOf(pod), 'setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--no-new-privs', ...words]
  }

  #attach(pod: string, at: number): void {
    this.#add(pod)
    const [near, far] = [`p${at}`, 'eth0']
    ip('link', 'add', near, 'netns', nameOf('node'), 'type', 'veth', 'peer', 'name', far, 'netns', nameOf(pod))
    this.#in('node', 'ip', 'address', 'add', `10.91.${at}.1/24`, 'dev', near)
    this.#in('node', 'ip', 'link', 'set', near, 'up')
    this.#in(pod, 'ip', 'address', 'add', `10.91.${at}.2/24`, 'dev', far)
    this.#in(pod, 'ip', 'link', 'set', far, 'up')
    this.#in(pod, 'ip', 'route', 'add', 'default', 'via', `10.91.${at}.1`)
    this.#pods.set(pod, `10.91.${at}.2`)
  }

  #add(pod: string): void {
    ip('netns', 'add', nameOf(pod))
    all.add(nameOf(pod))
    this.#in(pod, 'ip', 'link', 'set', 'lo', 'up')
  }

  #in(pod: string, ...words: readonly string[]): void {
    ip('netns', 'exec', nameOf(pod), ...words)
  }
}

/** Of this process alone. */
function nameOf(pod: string): string {
  return `cs-${pid}-${pod}`
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: 'pipe' })
}
