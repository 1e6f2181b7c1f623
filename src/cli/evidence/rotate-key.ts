import { rotateLedgerKey, previousPath } from '../../record/key.ts'
import { exit, parseWords, UsageFault, type Command } from '../command.ts'

/** `countersign evidence rotate-key`: makes the next signing key of a ledger. */
export const rotateKey: Command = {
  usage: `usage: countersign evidence rotate-key KEYFILE

Makes the next key that signs the ledger, in place of KEYFILE (record.ledger.key). The present one waits beside it as
KEYFILE.previous. The next start of Countersign hands over: one checkpoint is signed by both, the new key is added to
ledger.pub, and the old private key is erased once that is on the disk. Old lines verify under either key. Whoever keeps
the public key elsewhere fetches it again: GET /ledger.pub on the health port.

exit status: 0 made, 64 wrong usage`,
  async run({ args, stderr }) {
    const { positionals } = parseWords(args, {})
    const [path, ...rest] = positionals
    if (path === undefined || rest.length > 0) throw new UsageFault('give the key file of the ledger')
    try {
      rotateLedgerKey(path)
    } catch (error) {
      throw new UsageFault(error instanceof Error ? error.message : String(error))
    }
    stderr.write(`the new key is in ${path}, the one before in ${previousPath(path)}: restart Countersign, so that it hands over\n`)
    return exit.ok
  },
}
