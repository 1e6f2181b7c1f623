/** Refusal codes that a later part raises first. The repo test reads this list; it must be empty in the end. */
export const laterCodes: readonly string[] = []
