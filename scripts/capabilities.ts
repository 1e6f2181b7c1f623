/** What a policy may call: the builtins that the compiled module has itself, and those that the host lends it. */

import { builtins } from '../src/decide/builtins/table.ts'

/** Compiled into every module, by the table in the compiler's wasm target; linear-time patterns among them. */
const native = `
  abs all and any array.concat array.flatten array.reverse array.slice base64.decode base64.encode base64.is_valid base64url.decode
  base64url.encode bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor ceil concat contains count div endswith equal floor format_int
  glob.match graph.reachable gt gte indexof internal.member_2 internal.member_3 internal.template_string intersection is_array is_boolean
  is_null is_number is_object is_set is_string json.filter json.is_valid json.marshal json.remove json.unmarshal lower lt lte max min minus
  mul neq net.cidr_contains net.cidr_intersects net.cidr_overlap numbers.range object.filter object.get object.keys object.remove
  object.union object.union_n or plus product re_match regex.find_all_string_submatch_n regex.is_valid regex.match rem replace round sort
  split startswith strings.replace_n strings.reverse substring sum to_number trim trim_left trim_prefix trim_right trim_space trim_suffix
  type_name union upper walk
`

/** Gone by the time the module is written: assignments, and metadata, which becomes constants. */
const compiledAway = 'assign eq rego.metadata.chain rego.metadata.rule'

interface Capabilities {
  readonly builtins: readonly { readonly name: string }[]
}

/** Takes the compiler's own capabilities and keeps what this host can run. Throws when the compiler does not know one of them. */
export function capabilities(ofCompiler: Capabilities): string {
  const names = new Set([...words(native), ...words(compiledAway), ...Object.keys(builtins)])
  const known = new Set(ofCompiler.builtins.map(({ name }) => name))
  const strange = [...names].filter((name) => !known.has(name))
  if (strange.length > 0) throw new Error(`the compiler does not know ${strange.join(', ')}`)
  const kept = ofCompiler.builtins.filter(({ name }) => names.has(name))
  return `${JSON.stringify({ ...ofCompiler, builtins: kept, allow_net: [] }, null, 1)}\n`
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}
