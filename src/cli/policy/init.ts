import { cpSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { packaged } from '../../author/compose.ts'
import { AuthorFault } from '../../author/opa.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'

/** `countersign policy init`: a folder to start from. */
export const init: Command = {
  usage: `usage: countersign policy init FOLDER --starter NAME

Copies a starter: rules on top of the default policy with their tests, recorded cases, a configuration and a page. The folder must not be
there yet, or be empty. What is in it passes countersign policy lint, test and build as it stands.

  --starter NAME  one of ${starters().join(', ')}

example:
  countersign policy init acme --starter support-drafting && countersign policy test acme

exit status: 0, 64 wrong usage, 78 the folder is in use`,
  run: async (invocation) => {
    const { values, positionals } = parseWords(invocation.args, { starter: { type: 'string' } })
    const [folder, ...rest] = positionals
    if (folder === undefined || rest.length > 0) throw new UsageFault('init takes one folder')
    const { starter } = values
    if (starter === undefined || !starters().includes(starter)) throw new UsageFault(`give --starter, one of ${starters().join(', ')}`)
    if (existsSync(folder) && readdirSync(folder).length > 0) throw new AuthorFault(`${folder} is there and not empty`)
    cpSync(join(packaged, 'starters', starter), folder, { recursive: true })
    invocation.stdout.write(`${readdirSync(folder).sort().join('\n')}\n`)
    invocation.stderr.write(`next: countersign policy test ${folder}\n`)
    return exit.ok
  },
}

function starters(): readonly string[] {
  return readdirSync(join(packaged, 'starters')).sort()
}
