import { jsonSchema } from '../config/schema.ts'
import { exit, parseWords, UsageFault, type Command } from './command.ts'

/** `countersign schema`: the JSON Schema of the configuration, for editors. */
export const schema: Command = {
  usage: `usage: countersign schema > countersign.schema.json

Point your editor at it with a first line such as
  # yaml-language-server: $schema=./countersign.schema.json`,
  async run({ args, stdout }) {
    if (parseWords(args, {}).positionals.length > 0) throw new UsageFault('schema takes no arguments')
    stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`)
    return exit.ok
  },
}
