/** Looks at the way to a Workload API before anything is asked: what is missing there has a fix of its own. */
import { stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import type { NetConnectOpts } from 'node:net'
import type { EndpointAddress } from '../identify/workload-api/address.ts'
import { error, type Check } from './findings.ts'

/** Ms for somebody to take the connection. */
const patience = 3000

/** What keeps us from the address, or null when somebody takes connections there. */
export async function socketFault({ text, target }: EndpointAddress, subject: string): Promise<Check | null> {
  if (!target.startsWith('unix:')) {
    const code = await dial(tcpPlace(target))
    return code === null ? null : nobody(`nobody answers at ${text} (${code})`, subject)
  }
  const path = target.slice('unix:'.length)
  return (await fileFault(path, text, subject)) ?? connectFault(path, text, subject)
}

async function fileFault(path: string, text: string, subject: string): Promise<Check | null> {
  try {
    const found = await stat(path)
    if (found.isSocket()) return null
    const what = found.isDirectory() ? 'a folder' : 'a file'
    return error('CS2003', {
      subject,
      seen: `${text} is ${what}, not a socket`,
      fix: 'Give the socket itself, such as unix:///run/spire/agent/public/api.sock. A mount of a path that did not exist makes a folder: mount the folder of the socket instead.',
    })
  } catch (fault) {
    const code = codeOf(fault)
    if (code === 'EACCES') return forbidden(text, `the folders that lead to it may not be entered`, subject)
    const folder = dirname(path)
    const folderThere = await stat(folder).catch(() => null)
    return error('CS2002', {
      subject,
      seen: folderThere === null ? `${text} is not there, and neither is ${folder} (${code})` : `${text} is not there (${code})`,
      fix:
        folderThere === null
          ? `Mount the socket: in Kubernetes a volume "csi: { driver: csi.spiffe.io, readOnly: true }" at ${folder}, or a hostPath of the folder of the agent's socket.`
          : `Start the SPIRE agent and compare the path with its socket_path (or run "countersign dev-identity" on a laptop).`,
    })
  }
}

async function connectFault(path: string, text: string, subject: string): Promise<Check | null> {
  const code = await dial({ path })
  if (code === null) return null
  if (code !== 'EACCES' && code !== 'EPERM')
    return nobody(
      code === 'ECONNREFUSED' ? `${text} is a socket that nobody listens on (ECONNREFUSED)` : `nobody answers at ${text} (${code})`,
      subject,
    )
  const found = await stat(path).catch(() => null)
  const owned = found === null ? '' : `: mode ${(found.mode & 0o777).toString(8).padStart(4, '0')}, owned by uid ${found.uid}`
  return forbidden(text, `it may not be opened${owned}`, subject)
}

function forbidden(text: string, why: string, subject: string): Check {
  const user = process.getuid?.() ?? null
  return error('CS2004', {
    subject,
    seen: `${text} is closed to this process (EACCES)${user === null ? '' : ` of uid ${user}`}: ${why}`,
    fix: 'Run as a user who may write to the socket (in Kubernetes runAsUser or fsGroup), or let the agent open it: SPIRE makes it 0777 in a folder that all may enter. SELinux can forbid it too: see the audit log.',
  })
}

function nobody(seen: string, subject: string): Check {
  return error('CS2005', {
    subject,
    seen,
    fix: 'Start the SPIRE agent, or look at its log: it opens the socket once it has attested its node. After a restart of the agent mount the folder, not the socket, so that the new one is seen.',
  })
}

/** Null when the connection was taken, else why not. It is closed at once. */
function dial(place: NetConnectOpts): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect(place)
    const end = (code: string | null): void => {
      socket.destroy()
      resolve(code)
    }
    socket.setTimeout(patience, () => end('it takes no connection'))
    socket.on('connect', () => end(null))
    socket.on('error', (fault) => end(codeOf(fault)))
  })
}

function tcpPlace(target: string): NetConnectOpts {
  const [, host = '', port = ''] = /^ipv[46]:\[?([^\]]*?)\]?:(\d+)$/.exec(target) ?? []
  return { host, port: Number(port) }
}

function codeOf(fault: unknown): string {
  return fault instanceof Error && 'code' in fault ? String(fault.code) : 'unknown'
}
