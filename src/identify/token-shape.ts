/** Looks at a presented text before anything is verified. What it finds only routes or refuses; no identity is ever taken from here. */

/**
 * Says whether a text means to be a signed token: something before its first dot decodes to a JSON object with `alg`.
 * Wider than a token is (white space, padding, any number of parts), so that a broken token is refused rather than overlooked,
 * while an API key such as `sk-dummy`, or a token with a JWT inside it, is not mistaken for one. Null: no token.
 */
export function readShape(text: string): { readonly algorithm: unknown } | null {
  const dot = text.indexOf('.')
  if (dot <= 0) return null
  const header = parseLoosely(text.slice(0, dot))
  return header !== null && Object.hasOwn(header, 'alg') ? { algorithm: header['alg'] } : null
}

/** The `sub` that a token claims, or null. Unverified: it chooses whose keys must verify the token (Workload API §6.3), nothing else. */
export function claimedSubject(token: string): string | null {
  return claimed(token, 'sub')
}

/** The `iss` that a token claims, or null. Unverified: it chooses whose rules and keys the token is held to, nothing else. */
export function claimedIssuer(token: string): string | null {
  return claimed(token, 'iss')
}

function claimed(token: string, name: 'sub' | 'iss'): string | null {
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first <= 0 || second === -1) return null
  const claims = parseLoosely(token.slice(first + 1, second))
  const value = claims !== null && Object.hasOwn(claims, name) ? claims[name] : null
  return typeof value === 'string' ? value : null
}

function parseLoosely(part: string): Record<string, unknown> | null {
  const text = Buffer.from(part, 'base64url').toString('utf8').trimStart()
  if (!text.startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}
