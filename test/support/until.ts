export interface Changing {
  /** Gives the function that ends it. */
  onChange(listener: () => void): () => void
}

/** Resolves when it is so, looking after every change. */
export async function until(source: Changing, isSo: () => boolean): Promise<void> {
  if (isSo()) return
  await new Promise<void>((resolve) => {
    const end = source.onChange(() => {
      if (!isSo()) return
      end()
      resolve()
    })
  })
}
