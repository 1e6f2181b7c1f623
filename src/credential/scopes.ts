import { z } from 'zod'

/** One scope token (RFC 6749 §3.3). */
export const ScopeToken = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'must be a scope without spaces or quotes')

/** `scope` of a provider: the widest that is ever asked for. */
export const Scopes = z.array(ScopeToken).max(64).default([])

/** Sorted and without repeats, so that equal sets have equal text. */
export function canonicalScopes(scopes: readonly string[]): readonly string[] {
  return [...new Set(scopes)].sort()
}

/** Splits the space-separated form of the wire. */
export function parseScopes(text: string): readonly string[] {
  return canonicalScopes(text.split(' ').filter((scope) => scope !== ''))
}
