/**
 * The builtins that the host lends to policy: pure and bounded. The engine has the others itself.
 * Whatever is not in this table is refused when a bundle is activated; `refused.ts` says why.
 */

import type { Builtin } from './builtin.ts'
import { encodingBuiltins } from './encoding.ts'
import { graphBuiltins } from './graph.ts'
import { hashBuiltins } from './hash.ts'
import { identifierBuiltins } from './identifier.ts'
import { networkBuiltins } from './network.ts'
import { numberBuiltins } from './number.ts'
import { objectBuiltins } from './object.ts'
import { patchBuiltins } from './patch.ts'
import { textBuiltins } from './text.ts'
import { timeBuiltins } from './time.ts'
import { tokenBuiltins } from './token.ts'
import { uriBuiltins } from './uri.ts'

export const builtins: Readonly<Record<string, Builtin>> = {
  ...encodingBuiltins,
  ...graphBuiltins,
  ...hashBuiltins,
  ...identifierBuiltins,
  ...networkBuiltins,
  ...numberBuiltins,
  ...objectBuiltins,
  ...patchBuiltins,
  ...textBuiltins,
  ...timeBuiltins,
  ...tokenBuiltins,
  ...uriBuiltins,
}
