import { afterEach } from 'vitest'

interface Closing {
  close(): Promise<void>
}

const open: Closing[] = []

/** Closes what a test opened when the test is over, last first. Call once per test file. */
export function closeAfterEach(): void {
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close()
  })
}

export async function opened<T extends Closing>(made: Promise<T>): Promise<T> {
  const closing = await made
  open.push(closing)
  return closing
}
