import { createInterface } from 'node:readline'

/** What a person said when asked to approve. */
export interface Said {
  readonly verdict: 'approve' | 'decline'
  readonly reason: string
}

/** Asks whoever sits at the terminal; null when nobody answered in time. */
export type Ask = (signal: AbortSignal) => Promise<Said | null>

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
  /** How long an answer may take in all, ms. */
  readonly patience: number
}

/** Gives the question "approve, and why?": only a clear yes approves. */
export function askOnTerminal({ input, output, patience }: Terminal): Ask {
  return async (signal) => {
    const lines = createInterface({ input, terminal: false })
    const late = AbortSignal.any([signal, AbortSignal.timeout(patience)])
    const over = new Promise<null>((resolve) => late.addEventListener('abort', () => resolve(null), { once: true }))
    const typed = lines[Symbol.asyncIterator]()
    const answerTo = async (question: string): Promise<string | null> => {
      output.write(question)
      const line = await Promise.race([typed.next(), over])
      return line === null || line.done === true ? null : line.value.trim()
    }
    try {
      const word = late.aborted ? null : await answerTo('approve? [y/N] ')
      const reason = word === null ? null : await answerTo('reason: ')
      if (word === null || reason === null) {
        output.write('\n')
        return null
      }
      return { verdict: /^y(?:es)?$/i.test(word) ? 'approve' : 'decline', reason: reason === '' ? 'said so on the terminal' : reason }
    } finally {
      lines.close()
    }
  }
}
