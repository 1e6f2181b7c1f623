/** What examining takes from outside. */
export interface Means {
  /** Epoch ms. */
  readonly clock: () => number
  readonly env: Readonly<Record<string, string | undefined>>
  /** Ms that an identity may take to appear: a new registration entry does not reach an agent at once. */
  readonly wait: number
  /** Ends every wait. */
  readonly signal: AbortSignal
  /** Told when something is waited for. */
  readonly progress: (text: string) => void
}
