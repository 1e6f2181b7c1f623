import { thumbprint } from '../admin/signed-request.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'
import { keyKinds, makeKeyPair, publicText, readKeyPair } from './key-pair.ts'

/** `countersign approver`: the key pair by which a person answers on the command line. */
export const approver: Command = {
  usage: `usage: countersign approver init --key-pair FILE [--name NAME] [--type ed25519|es256]
       countersign approver show --key-pair FILE [--name NAME]

init makes a key pair and prints what is put under admin.approvers of the configuration; show prints it again. Keep the file where
no agent runs: whoever has it answers in your name. Commands sign with it when they are given --key-pair FILE.

  --key-pair FILE  private key, PKCS #8, mode 0600; never overwritten
  --name NAME      what the ledger will call you (default: the USER variable)
  --type TYPE      ed25519 (default) or es256
  -o text|json     how it is printed (default: text)

exit status: 0 done, 64 wrong usage, or the file cannot be used`,
  async run({ args, env, stdout }) {
    const { values, positionals } = parseWords(args, {
      'key-pair': { type: 'string' },
      name: { type: 'string' },
      type: { type: 'string', default: 'ed25519' },
      output: { type: 'string', short: 'o', default: 'text' },
    })
    const [verb, ...rest] = positionals
    const file = values['key-pair']
    const kind = keyKinds.find((one) => one === values.type)
    if (rest.length > 0 || (verb !== 'init' && verb !== 'show')) throw new UsageFault('say init or show')
    if (file === undefined) throw new UsageFault('which file? Give --key-pair FILE')
    if (kind === undefined) throw new UsageFault(`the type is one of ${keyKinds.join(', ')}`)
    const name = values.name ?? env['USER'] ?? 'me'
    if (!/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/.test(name)) throw new UsageFault('a name has letters, digits, ".", "_", "@", "+" and "-"')
    const key = verb === 'init' ? makeKeyPair(file, kind) : readKeyPair(file)
    const entry = { name, key: publicText(key), groups: [] as string[] }
    if (values.output === 'json') stdout.write(`${JSON.stringify({ ...entry, thumbprint: thumbprint(key) }, null, 2)}\n`)
    else stdout.write(`admin:\n  approvers:\n    - { name: "${name}", key: "${entry.key}", groups: [] }\n`)
    return exit.ok
  },
}
