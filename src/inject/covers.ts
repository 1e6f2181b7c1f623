/**
 * Whether `there` has everything that `wanted` says. It may have more: API servers fill in defaults, and other webhooks add members.
 * Lists of named things are compared by name, any other list as it stands.
 */
export function covers(there: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(there)) return false
    if (wanted.every(isNamed))
      return wanted.every((one) => there.some((other) => isNamed(other) && other.name === one.name && covers(other, one)))
    return there.length === wanted.length && wanted.every((one, at) => covers(there[at], one))
  }
  if (!isRecord(wanted)) return there === wanted
  return isRecord(there) && Object.entries(wanted).every(([key, value]) => covers(there[key], value))
}

function isNamed(value: unknown): value is { readonly name: unknown } {
  return isRecord(value) && 'name' in value
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
