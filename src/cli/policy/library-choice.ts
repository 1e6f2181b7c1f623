import { UsageFault } from '../command.ts'

/** The options of every verb that composes sources. */
export const libraryOptions = { 'with-library': { type: 'boolean' }, 'without-library': { type: 'boolean' } } as const

export const libraryUsage = `  --with-library, --without-library
                   whether the library of Countersign is added (default: when the folders do not define countersign.decision)`

/** Null to decide by the sources. Throws UsageFault when both are given. */
export function libraryChoice(values: Readonly<Partial<Record<keyof typeof libraryOptions, boolean>>>): boolean | null {
  const { 'with-library': added, 'without-library': left } = values
  if (added === true && left === true) throw new UsageFault('--with-library or --without-library, not both')
  return added === true ? true : left === true ? false : null
}
