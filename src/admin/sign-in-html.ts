/** The gate of the page, as HTML: how whoever is not signed in comes in. */
import type { Answer } from './answer.ts'
import { html, type Html } from './html.ts'
import { noted, pageOf } from './page-shell.ts'

export interface Gate {
  /** Where they wanted to go. */
  readonly path: string
  readonly note: string | null
  readonly status: number
  /** Whether an issuer is configured. */
  readonly oidc: boolean
}

/** What is said to somebody who is not signed in. */
export function signInPage({ path, note, status, oidc }: Gate): Answer {
  const local = html`<h2>From a terminal</h2>
    <p>
      <code>countersign page --open</code> opens this page in a browser, signed in as you: with your key pair, or with the local key of this
      Countersign.
    </p>
    <details>
      <summary>With a code or the local key</summary>
      ${codeForm()}
    </details>`
  const issuer = html`<p><a class="button go" href="/sign-in?to=${encodeURIComponent(path)}">Sign in</a></p>`
  const body = html`<div class="gate">
    <h1>Countersign</h1>
    ${noted(note)}
    <p class="lead">What agents do, what they ask people, and the hand that stops them.</p>
    ${
      oidc
        ? html`${issuer}
            <details>
              <summary>Other ways in</summary>
              ${local}
            </details>`
        : local
    }
  </div>`
  return pageOf({ status, title: 'Sign in', body, shell: null })
}

/** For a code that `countersign page` printed, or the local key with a name. */
export function codeForm(): Html {
  return html`<form method="post" action="/sign-in/local">
    <label for="code">Code, or local key <small>the content of admin.key</small></label>
    <input type="password" id="code" name="code" required maxlength="256" autocomplete="off" />
    <label for="by">Your name <small>it stands in the ledger; a code has one already</small></label>
    <input type="text" id="by" name="by" maxlength="128" autocomplete="off" spellcheck="false" />
    <div class="row"><button class="go">Sign in</button></div>
  </form>`
}
