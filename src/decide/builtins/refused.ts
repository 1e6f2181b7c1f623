/** Builtins of the policy language that no policy of this host may call, and why. */

const impure = 'a decision is pure: the same input and bundle give it again, on any machine'
const proven = 'the proxy proves identities and signs before and after policy, with keys that policy never sees'
const backtracks = 'patterns run on a linear-time engine or not at all; `regex.match` and `regex.find_all_string_submatch_n` do'
const weak = 'the hash is broken; `crypto.sha256` and `crypto.hmac.sha256` are lent'
const parser = 'a parser of another language in the path of a call is more to attack than it is worth; hand facts in as JSON'
const deprecated = 'the policy language itself has given it up'

/** Name, or the beginning of names when it ends with a dot → the reason. */
export const refused: Readonly<Record<string, string>> = {
  cast_: deprecated,
  'crypto.hmac.md5': weak,
  'crypto.hmac.sha1': weak,
  'crypto.md5': weak,
  'crypto.parse_private_keys': proven,
  'crypto.sha1': weak,
  'crypto.x509.': proven,
  'graphql.': parser,
  'http.send': impure,
  'internal.print': 'printing is for tests',
  'internal.test_case': 'it is for tests',
  'io.jwt.decode_verify': proven,
  'io.jwt.encode_': proven,
  'io.jwt.verify_': proven,
  'json.marshal_with_options': 'how a text is indented decides nothing; `json.marshal` is there',
  'json.match_schema': 'Countersign holds the input to its schema before policy',
  'json.verify_schema': 'Countersign holds the input to its schema before policy',
  'net.lookup_ip_addr': impure,
  'opa.runtime': impure,
  print: 'printing is for tests',
  'providers.aws.sign_req': proven,
  'rand.intn': impure,
  'regex.find_n': backtracks,
  'regex.globs_match': backtracks,
  'regex.replace': backtracks,
  'regex.split': backtracks,
  'regex.template_match': backtracks,
  'rego.parse_module': parser,
  set_diff: deprecated,
  'strings.render_template': parser,
  trace: 'there is nothing to trace in a compiled policy',
  'uuid.rfc4122': impure,
  'yaml.': parser,
}

/** Why a builtin is not to be had; null when this host has never heard of it. */
export function whyRefused(name: string): string | null {
  const entry = Object.entries(refused).find(([known]) => name === known || (/[._]$/.test(known) && name.startsWith(known)))
  return entry?.[1] ?? null
}
