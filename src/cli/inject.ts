import { readFileSync } from 'node:fs'
import { text as whole } from 'node:stream/consumers'
import { injectDocuments, type Injected } from '../inject/documents.ts'
import { parseSettings, readSettings, SettingsFault, type InjectSettings } from '../inject/settings.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'

/** `countersign inject`: the sidecar into manifests, without a webhook. */
export const inject: Command = {
  usage: `usage: countersign inject -f FILE [--settings FILE | --image IMAGE [--sdk NAME=/PREFIX]…]

Puts Countersign as a native sidecar into every Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob of a file and prints
the whole file. What has it already is left alone, so a second time changes nothing; so is what is labelled countersign/inject: disabled.
Nothing is printed when some of it cannot be done. docs/kubernetes.md explains settings, labels and annotations.

  -f FILE            manifests, YAML or JSON; - reads standard input
  --settings FILE    what is put in: the settings of the webhook
  --image IMAGE      the image, with every other setting as it is by default
  --sdk NAME=/PREFIX an SDK and the route that it is pointed at, such as openai=/openai

exit status: 0 done, 1 something cannot be done (the reasons are on standard error), 64 wrong usage, 78 the settings cannot be used`,
  async run({ args, stdin, stdout, stderr }) {
    const { values, positionals } = parseWords(args, {
      file: { type: 'string', short: 'f' },
      settings: { type: 'string' },
      image: { type: 'string' },
      sdk: { type: 'string', multiple: true },
    })
    const { file, settings: from, image, sdk = [] } = values
    if (file === undefined || positionals.length > 0) throw new UsageFault('inject takes one -f FILE')
    if ((from === undefined) === (image === undefined)) throw new UsageFault('give either --settings or --image')
    if (from !== undefined && sdk.length > 0) throw new UsageFault('--sdk goes with --image: settings name SDKs themselves')
    let settings: InjectSettings
    try {
      settings = from === undefined ? given(image ?? '', sdk) : readSettings(from)
    } catch (error) {
      if (!(error instanceof SettingsFault)) throw error
      stderr.write(`${error.message}\n`)
      return exit.config
    }
    let injected: Injected
    try {
      injected = injectDocuments(file === '-' ? await whole(stdin) : readFileSync(file, 'utf8'), settings)
    } catch (error) {
      stderr.write(`${file}: ${error instanceof Error ? error.message : 'unknown'}\n`)
      return exit.findings
    }
    const { text, done, left, warnings, refused } = injected
    for (const line of refused) stderr.write(`refused: ${line}\n`)
    if (refused.length > 0) return exit.findings
    for (const line of warnings) stderr.write(`warning: ${line}\n`)
    for (const line of left) stderr.write(`as it was: ${line}\n`)
    if (done.length + left.length === 0) {
      stderr.write(`${file}: nothing in it runs pods\n`)
      return exit.findings
    }
    stdout.write(text)
    return exit.ok
  },
}

function given(image: string, sdks: readonly string[]): InjectSettings {
  const pairs = sdks.map((text) => {
    const [name = '', prefix] = text.split('=', 2)
    if (prefix === undefined) throw new UsageFault(`--sdk takes NAME=/PREFIX, not "${text}"`)
    return [name, prefix]
  })
  return parseSettings(JSON.stringify({ version: 1, image, sdks: Object.fromEntries(pairs) }), 'the options')
}
