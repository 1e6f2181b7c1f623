import { loadConfig } from '../config/load.ts'
import { examineConfiguration, examineWorkloadApi } from '../doctor/examine.ts'
import { checksJson, checksText, summary } from '../doctor/render.ts'
import { parseDuration } from '../duration.ts'
import { exit, mayColour, parseWords, UsageFault, type Command } from './command.ts'

const longestWait = 60_000

/** `countersign doctor`: why identity does not work, and what to do about each thing. */
export const doctor: Command = {
  usage: `usage: countersign doctor [--config FILE] [--socket ADDRESS] [--wait DURATION] [-o text|json]

Asks the Workload API what it gives this process, reads the keys of every identity source for real, and says of each thing that is wrong
what was seen and how to mend it. Run it as the user, and in the container, that Countersign runs in. It changes nothing, and a running
Countersign is not disturbed. The codes are explained in docs/doctor.md. Without --config only the Workload API is looked at.

  --config FILE     look at everything that this configuration needs for identity
  --socket ADDRESS  the Workload API to ask, such as unix:///run/spire/agent/public/api.sock, in place of what the configuration says
                    (default without --config: the variable SPIFFE_ENDPOINT_SOCKET)
  --wait DURATION   how long to ask again while there is no identity yet, 0s to 60s (default: 8s, which a new registration entry may take)
  -o text|json      how it is printed (default: text)

exit status: 0 nothing wrong but warnings and notes, 1 something is wrong, 64 wrong usage, 78 the configuration cannot be used`,
  async run(invocation) {
    const { args, env, stdout, stderr, signal } = invocation
    const { values, positionals } = parseWords(args, {
      config: { type: 'string' },
      socket: { type: 'string' },
      wait: { type: 'string', default: '8s' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    if (positionals.length > 0) throw new UsageFault('doctor takes no arguments')
    if (values.output !== 'text' && values.output !== 'json') throw new UsageFault('-o takes text or json')
    const wait = parseDuration(values.wait)
    if (wait === null || wait > longestWait) throw new UsageFault('--wait takes a duration from 0s to 60s')
    const loaded = values.config === undefined ? null : loadConfig(values.config, env)
    const means = { clock: Date.now, env, wait, signal, progress: (text: string) => void stderr.write(`${text}\n`) }
    const socket = values.socket ?? null
    try {
      const checks = await (loaded === null ? examineWorkloadApi(socket, means) : examineConfiguration(loaded, socket, means))
      stdout.write(values.output === 'json' ? checksJson(checks) : checksText(checks, mayColour(invocation)))
      stderr.write(`${summary(checks)}\n`)
      return checks.some(({ severity }) => severity === 'error') ? exit.findings : exit.ok
    } catch (fault) {
      if (!signal.aborted) throw fault
      stderr.write('stopped before it was done\n')
      return exit.findings
    }
  },
}
