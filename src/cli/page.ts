import { spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adminOptions, adminUsage, askJson, findAdmin } from './admin-client.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from './command.ts'

const options = {
  ...adminOptions,
  as: { type: 'string' },
  open: { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

interface LinkView {
  readonly url: string
  readonly as: string
  readonly seconds: number
}

/** `countersign page`: a link into the page. */
export const page: Command = {
  usage: `usage: countersign page [--open] [--as NAME]

Prints a link that signs one browser in to the page, once, within two minutes: as the person of a key pair, or with the local key
under the name that you give, which proves nothing and stands in the ledger so. Whoever has the link before you is signed in as you.

  --open           open it in the browser of this machine instead of printing it
  --as NAME        who you are: with the local key alone, which names nobody (default: the USER variable)
  -o text|json     how the answer is printed (default: text)
${adminUsage}

exit status: 0 done, 1 not possible (the reason is printed), 64 wrong usage, 69 no Countersign answers, 78 the configuration cannot be used`,
  async run(invocation) {
    const { values, positionals } = parseWords(invocation.args, options)
    if (positionals.length > 0) throw new UsageFault('page takes no words')
    if (values.output !== 'text' && values.output !== 'json') throw new UsageFault('output is text or json')
    const { env, stdout, stderr } = invocation
    const by = values.as ?? env['USER']
    const link = (await askJson(await findAdmin(values, env), 'POST', '/v1/page', by === undefined ? {} : { by })) as LinkView
    if (values.open && open(link.url, env)) {
      stderr.write(`opening the page as ${link.as}; the link is good once, for ${link.seconds} s\n`)
      return exit.ok
    }
    if (values.open) stderr.write('no browser was found (BROWSER, xdg-open or open): here is the link\n')
    if (values.output === 'json') stdout.write(`${JSON.stringify(link)}\n`)
    else stdout.write(`${link.url}\n`)
    if (values.output === 'text') stderr.write(`signs you in as ${link.as}, once, within ${link.seconds} s\n`)
    return exit.ok
  },
}

/** By way of a file that nobody else can read: words of a command line everybody on the machine can. False when there is no browser to ask. */
function open(url: string, env: Invocation['env']): boolean {
  const program = env['BROWSER'] ?? (process.platform === 'darwin' ? 'open' : env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? 'xdg-open' : null)
  if (program === null) return false
  const file = join(mkdtempSync(join(tmpdir(), 'countersign-page-')), 'open.html')
  const text = `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=${url}"><title>Countersign</title><a href="${url}">Go on to the page</a>\n`
  writeFileSync(file, text, { mode: 0o600 })
  const child = spawn(program, [file], { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
  return child.pid !== undefined
}
