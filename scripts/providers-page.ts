/** The matrix of providers, made from what the contract tests saw each kind do: docs/providers.md. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { kinds } from '../src/credential/registry.ts'
import type { Proven } from '../test/support/proven.ts'

const folder = join(import.meta.dirname, '../test/conformance/credential/proven')

/** Where each kind is explained, with settings that work. A new kind needs a line here. */
export const sections: Readonly<Record<string, string>> = {
  aws: 'aws.md',
  azure: 'platform-providers.md#azure',
  exec: 'platform-providers.md#plug-ins',
  gcp: 'platform-providers.md#google-cloud',
  github: 'platform-providers.md#github',
  jwt: 'credentials.md#tokens-of-our-own',
  kubernetes: 'platform-providers.md#kubernetes',
  oauth: 'oauth.md',
  static: 'credentials.md#standing-secrets',
  vault: 'vault.md',
}

const head = ['provider', 'narrowed by a decision in', 'renewed', 'ended by', 'an answer that nobody saw', 'shortest life', 'recorded']

const ends: Readonly<Record<Proven['ends'], string>> = {
  issuer: 'revocation at the issuer',
  expiry: 'its expiry alone',
  discard: 'nothing: it stands, and is dropped',
}

const intro = `# Providers

Made by \`npm run schema\` from what \`test/conformance/credential/contract.test.ts\` saw each kind do; a test keeps it fresh. Where a kind does different things by its settings it has a line for each. [credentials.md](credentials.md) explains the words, [config.md](config.md) has the settings.`

const legend = `- **narrowed**: what a decision may ask for less of, besides the life, which every kind takes as it is told.
- **renewed**: a lease near its end lives on at its issuer while its task and context are what they were; of the others a fresh one is asked for.
- **ended by**: what \`revocation\` says in the record. An upstream that takes a token without asking its issuer honours it until it expires, whatever was revoked.
- **an answer that nobody saw**: what takes back a credential that the issuer may have given when its answer was lost or the process died meanwhile. After a crash \`revocation at the issuer\` needs \`task.state.key\`.
- **shortest life**: the issuer gives none that lives less. A lease is used for no longer than was allowed all the same.
- **recorded**: what the ledger holds of the credential. A digest covers the secret and all that came with it; no value is ever written.`

/** Throws when the contract tests have not seen a kind yet: run them, and commit what they wrote. */
export function providersPage(): string {
  const rows = kinds.toSorted((one, other) => one.type.localeCompare(other.type)).flatMap(({ type }) => linesOf(type))
  const table = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
  const about = kinds
    .toSorted((one, other) => one.type.localeCompare(other.type))
    .map(({ type, config }) => `- [\`${type}\`](${sectionOf(type)}): ${config.description ?? ''}`)
    .join('\n')
  return `${[intro, table, legend, '## The kinds', about].join('\n\n')}\n`
}

function sectionOf(type: string): string {
  const section = sections[type]
  if (section === undefined) throw new Error(`scripts/providers-page.ts does not say where the kind ${type} is explained`)
  return section
}

function linesOf(type: string): string[][] {
  let proven: readonly Proven[]
  try {
    proven = JSON.parse(readFileSync(join(folder, `${type}.json`), 'utf8')) as Proven[]
  } catch {
    throw new Error(`test/conformance/credential/proven/${type}.json is not there: run the contract tests of providers`)
  }
  return proven.map(({ narrows, renews, ends: end, unseen, floor, with: more }) => [
    `\`${type}\``,
    narrows === '' ? '–' : narrows,
    renews,
    ends[end],
    end === 'discard' ? '–' : ends[unseen],
    floor === '0' ? '–' : `${Number(floor) / 1000} s`,
    more === '' ? 'digest of the secret' : `digest of the secret, with its ${more}`,
  ])
}
