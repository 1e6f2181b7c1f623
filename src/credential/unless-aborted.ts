/** Waiting for what others wait for too: one who gives up leaves it to them. */

/** The promise's own outcome, or the reason of the first signal that aborts. */
export function unlessAborted<T>(promise: Promise<T>, ...signals: readonly AbortSignal[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      for (const signal of signals) signal.removeEventListener('abort', abort)
    }
    const abort = (): void => {
      leave()
      reject(signals.find((signal) => signal.aborted)?.reason)
    }
    for (const signal of signals) signal.addEventListener('abort', abort)
    if (signals.some((signal) => signal.aborted)) abort()
    promise.then(
      (value) => {
        leave()
        resolve(value)
      },
      (error: unknown) => {
        leave()
        reject(error)
      },
    )
  })
}
