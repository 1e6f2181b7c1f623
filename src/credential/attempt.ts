import { Refusal } from '../refusal.ts'
import { Unanswered } from './provider.ts'

/** One question to a provider that ends after `ms`, or when `stop` aborts, also when the provider ignores its signal: then nobody knows what it did. */
export async function attempt<T>(ms: number, run: (signal: AbortSignal) => Promise<T>, stop?: AbortSignal): Promise<T> {
  const late = AbortSignal.timeout(ms)
  const signal = stop === undefined ? late : AbortSignal.any([late, stop])
  let leave = (): void => {}
  const over = new Promise<never>((_resolve, reject) => {
    const end = (): void =>
      reject(new Refusal('credential.unavailable', { detail: 'the issuer did not answer in time', cause: new Unanswered() }))
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
    leave = () => signal.removeEventListener('abort', end)
  })
  try {
    return await Promise.race([run(signal), over])
  } finally {
    leave()
  }
}
