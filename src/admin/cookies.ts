/** Cookies of the admin port (RFC 6265bis): for this host alone, never for a script. */

export interface CookieOptions {
  readonly secure: boolean
  /** `Lax` for what has to come along when another site sends the browser back; everything else is `Strict`. */
  readonly sameSite: 'Strict' | 'Lax'
  /** Seconds; 0 takes it away. */
  readonly age: number
}

/** `__Host-` binds a cookie to this host, by TLS alone, on every path (§4.1.3.2). */
export function cookieName(name: string, secure: boolean): string {
  return secure ? `__Host-${name}` : name
}

export function writeCookie(name: string, value: string, { secure, sameSite, age }: CookieOptions): string {
  return `${name}=${value}; Path=/; HttpOnly; SameSite=${sameSite}; Max-Age=${age}${secure ? '; Secure' : ''}`
}

/** The value of a cookie; null when it is not there, or there twice: nobody could tell which is ours. */
export function readCookie(header: string | undefined, name: string): string | null {
  const values = (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
  const [value, ...more] = values
  return value === undefined || more.length > 0 ? null : value.slice(name.length + 1)
}
