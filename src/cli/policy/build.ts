import { writeFileSync } from 'node:fs'
import { buildPolicy, casesBeside } from '../../author/build.ts'
import { readCases } from '../../author/cases.ts'
import { optionalEntrypoints } from '../../author/lint/entrypoints.ts'
import { AuthorFault, findOpa } from '../../author/opa.ts'
import { readSigningKey, type SigningKey } from '../../author/signing-key.ts'
import { tryBundle, type Trial } from '../../author/trial.ts'
import { exit, parseWords, UsageFault, type Command, type Invocation } from '../command.ts'
import { libraryChoice, libraryOptions, libraryUsage } from './library-choice.ts'
import { figure, printable, table, writeJson } from './table.ts'

const options = {
  ...libraryOptions,
  output: { type: 'string', short: 'o' },
  revision: { type: 'string' },
  serial: { type: 'string' },
  selftest: { type: 'string', multiple: true },
  'sign-key': { type: 'string' },
  algorithm: { type: 'string' },
  'key-id': { type: 'string' },
  scope: { type: 'string' },
  'signed-at': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

/** `countersign policy build`: Rego source to a bundle that the sidecar takes. */
export const build: Command = {
  usage: `usage: countersign policy build FOLDER… -o FILE [--revision R] [--serial N] [--selftest PATH…] [--sign-key FILE --key-id ID] [--json]

Compiles Rego with opa: no optimiser, only the builtins that Countersign lends, the entrypoints that annotations name, no tests. The same
sources give the same bytes wherever they are built; so does a signature by RS, HS or EdDSA, while PS and ES sign anew each time. What
was built is then read, verified and activated as the sidecar does it, self-tests and worst case included, before it is written.

  FOLDER           Rego, data.json and .manifest; or a folder that holds them in policy/. Roots are those of .manifest, else of the packages
  -o FILE          where the bundle is written
  --revision R     its name (default: from the content)
  --serial N       a number that grows with each bundle: the sidecar never goes back to a smaller one
  --selftest PATH  cases that must come out so wherever it is activated, a deny among them (default: cases/ in the folders)
${libraryUsage}
  --sign-key FILE  a PEM private key, or the secret of an HMAC
  --key-id ID      what the sidecar calls the key
  --algorithm A    RS256, PS256, ES256, EdDSA, HS256 … (default: from the key)
  --scope S        what the signature is for
  --signed-at T    when the signature says it was made: now, or a time such as 2026-11-27T09:00:00Z (default: it does not say). A
                   sidecar with \`signed_within\` needs it; with a time that is given the same sources still give the same bytes
  --json           print the summary as JSON

examples:
  countersign policy build acme -o policy.tar.gz
  countersign policy build acme -o policy.tar.gz --serial 12 --sign-key bundle.key --key-id acme-2026

exit status: 0 written, 64 wrong usage, 69 there is no opa, 78 it does not compile or would not come into force`,
  run: async (invocation) => {
    const { values, positionals } = parseWords(invocation.args, options)
    if (positionals.length === 0) throw new UsageFault('give folders of Rego source')
    const { output: path } = values
    if (path === undefined) throw new UsageFault('give -o FILE')
    const [serial, library, signing] = [serialOf(values.serial), libraryChoice(values), signingOf(values)]
    const { cases } = readCases(values.selftest ?? positionals.map(casesBeside).filter((one) => one !== null))
    const plan = { revision: values.revision ?? null, serial, library, selftest: cases, entrypoints: null, signing }
    const built = buildPolicy(positionals, plan, findOpa(invocation.env))
    const trial = tryBundle(built.bytes, signing?.verification ?? null)
    writeBundle(path, built.bytes)
    const summary = summaryOf(trial, { path, bytes: built.bytes.length, library: built.library, cases: cases.length, signing })
    if (values.json) writeJson(invocation, summary)
    else invocation.stdout.write(`${table(Object.entries(summary).map(([name, value]) => [name.replaceAll('_', ' '), shown(value)]))}\n`)
    remarks(invocation, trial, cases.length)
    return exit.ok
  },
}

function serialOf(word: string | undefined): number | null {
  if (word === undefined) return null
  const serial = Number(word)
  if (!/^\d+$/.test(word) || !Number.isSafeInteger(serial)) throw new UsageFault('--serial takes a whole number')
  return serial
}

type Signing = Readonly<Partial<Record<'sign-key' | 'key-id' | 'algorithm' | 'scope' | 'signed-at', string>>>

function signingOf(values: Signing): SigningKey | null {
  const { 'sign-key': path, 'key-id': id, algorithm = null, scope = null } = values
  if (path === undefined) {
    if (id !== undefined || algorithm !== null || scope !== null || values['signed-at'] !== undefined)
      throw new UsageFault('--key-id, --algorithm, --scope and --signed-at go with --sign-key')
    return null
  }
  if (id === undefined || id === '') throw new UsageFault('give --key-id ID: the sidecar looks the key up by it')
  return readSigningKey(path, id, { algorithm, scope, issued: issuedAt(values['signed-at']) })
}

function issuedAt(word: string | undefined): number | null {
  if (word === undefined) return null
  const at = word === 'now' ? Date.now() : Date.parse(word)
  if (Number.isNaN(at)) throw new UsageFault('--signed-at takes now, or a time such as 2026-11-27T09:00:00Z')
  return Math.floor(at / 1000)
}

function writeBundle(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes)
  } catch (error) {
    throw new AuthorFault(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

interface Made {
  readonly path: string
  readonly bytes: number
  readonly library: boolean
  readonly cases: number
  readonly signing: SigningKey | null
}

function summaryOf(
  { bundle, cost }: Trial,
  { path, bytes, library, cases, signing }: Made,
): Readonly<Record<string, string | readonly string[] | null>> {
  return {
    file: path,
    size: `${figure(bytes)} bytes`,
    revision: bundle.revision,
    digest: `sha256:${bundle.digest}`,
    roots: bundle.manifest.roots,
    entrypoints: bundle.manifest.entrypoints,
    library: library ? 'included' : 'not included',
    self_tests: `${cases} case${cases === 1 ? '' : 's'}`,
    ...(cost === null ? {} : { longest_evaluation: `${cost.ms} ms of ${cost.budget} ms` }),
    signed_by:
      signing === null
        ? null
        : `${signing.verification.id} (${signing.verification.algorithm}${signing.scope === null ? '' : `, scope ${signing.scope}`})`,
  }
}

function shown(value: string | readonly string[] | null): string {
  return printable(value === null ? 'nobody' : typeof value === 'string' ? value : value.join(', '))
}

function remarks({ stderr }: Invocation, { bundle }: Trial, cases: number): void {
  for (const [name, text] of Object.entries(optionalEntrypoints)) if (!bundle.manifest.entrypoints.includes(name)) stderr.write(`${text}\n`)
  if (cases === 0) stderr.write('no cases: it is activated without a self-test of its own\n')
}
