/** What a report says of one set besides its timeline. */
import { html, type Html, type Piece } from '../../admin/html.ts'
import type { Summary } from '../summary/summary.ts'
import type { TaskRow } from '../summary/tasks.ts'
import { endOf } from './timeline.ts'
import { badge, count, fact, listed, mono, short, shown, table, time } from './words.ts'

/** Looks of states. */
export function stateBadge(state: string): Html {
  return badge(state, state === 'completed' || state === 'active' ? 'go' : state === 'paused' ? 'warn' : 'stop')
}

/** What it was for, who it was of, and how it ended. */
export function intentOf(task: TaskRow | undefined): Html {
  if (task === undefined) return html`<p class="soft">The opening of the task is not among the lines.</p>`
  const last = task.turns.at(-1)
  const behalf = task.on_behalf_of
  return html`<dl>
    ${fact('purpose', shown(task.purpose))}${fact('agent', mono(task.caller))}
    ${fact('opened', html`${time(task.opened)} by ${shown(task.opened_by)}${task.reason === null ? '' : `: ${shown(task.reason)}`}`)}
    ${fact('on behalf of', behalf === null ? 'nobody: the agent works for itself' : `${shown(behalf.subject)} (${shown(behalf.issuer)})`)}
    ${fact('ended', last === undefined || last.what === 'opened' ? 'not yet' : html`${stateBadge(task.state)} ${time(last.at)} by ${shown(last.by)}: ${shown(last.why)}`)}
    ${fact('tools', listed(task.tools))}${fact('resources', listed(task.resources))}${fact('data', listed(task.data))}${fact('egress', listed(task.egress))}
    ${fact(
      'budget',
      listed(
        Object.entries(task.budget).map(([meter, most]) => `${meter} ${most}`),
        'none',
      ),
    )}
    ${fact('approved under policy', mono(task.revision))}${task.approval === null ? null : fact('opened by approval', mono(task.approval))}
    ${task.prompt === null ? null : fact('prompt', mono(task.prompt))}${fact('began with', mono(task.root))}
  </dl>`
}

/** The tasks from the one above all of them down. */
export function delegation({ tasks, grants }: Summary): Html {
  const known = new Set(tasks.map(({ task }) => task))
  const roots = tasks.filter(({ parent }) => parent === null || !known.has(parent))
  const branch = (task: TaskRow, depth: number): Html => {
    const children = depth > 64 ? [] : tasks.filter(({ parent }) => parent === task.task)
    const open = grants.filter((grant) => grant.task === task.task && grant.state !== 'redeemed')
    const below = [
      ...children.map((child) => branch(child, depth + 1)),
      ...open.map(({ to, state, purpose }) => html`<li>${badge(state)} offered to <strong>${short(to)}</strong>: ${shown(purpose)}</li>`),
    ]
    return html`<li>
      <strong>${short(task.caller)}</strong> ${task.inside ? stateBadge(task.state) : badge('above')} ${shown(task.purpose)}
      <span class="soft mono">${task.task}</span><br /><span class="soft">may use ${listed(task.tools)}</span>${
        below.length === 0
          ? null
          : html`<ul>
              ${below}
            </ul>`
      }
    </li>`
  }
  return html`<ul class="tree">
    ${roots.map((root) => branch(root, 0))}
  </ul>`
}

export function people({ approvals }: Summary): Html {
  const rows = approvals.map((row): Piece[] => [
    html`${shown(row.tool ?? row.matter)}<br />${mono(row.approval)}`,
    html`${row.unasked ? 'unasked' : html`asked by ${short(row.asked_by)}`}<br /><span class="soft">${time(row.at)}</span>`,
    row.answers.length === 0
      ? 'nobody'
      : row.answers.map(
          ({ by, verdict, reason, method, break_glass: broken }) =>
            html`<div>
              <strong>${shown(by)}</strong> ${verdict === 'approve' ? badge('approved', 'go') : badge('declined', 'stop')}
              ${broken ? badge('glass broken', 'stop') : null} “${shown(reason)}” <span class="soft">(${shown(method)})</span>
            </div>`,
        ),
    html`${shown(row.state)}${row.closed?.why == null ? '' : `: ${shown(row.closed.why)}`}<br /><span class="soft"
        >${count(row.used.length, 'call')} made by it</span
      >`,
  ])
  return table(['What', 'Asked', 'Answered', 'Came to'], rows, 'Nobody was asked anything.')
}

export function credentials({ credentials: all }: Summary): Html {
  const rows = all.map((row): Piece[] => [
    html`<strong>${shown(row.provider)}</strong><br />${mono(row.lease)}`,
    html`${shown(row.tool)} at ${shown(row.destination)}<br /><span class="soft">${listed(row.scopes, 'no scopes')}</span>`,
    html`${time(row.issued)}${row.standing ? html`<br />${badge('standing secret', 'warn')}` : null}`,
    html`${row.end === null ? badge('end unknown', 'warn') : badge(row.end.how, row.end.how === 'revoked' || row.end.how === 'expired' ? 'go' : 'warn')}
    ${endOf(row)}${row.revocation_overdue ? html` ${badge('overdue', 'stop')}` : null}${row.echoed > 0 ? html` ${badge('came back in an answer', 'stop')}` : null}`,
  ])
  return table(['Credential', 'For', 'Lent', 'How it ended'], rows, 'No credential was lent.')
}

export function touched({ tools, data, identities, sensitivity }: Summary): Html {
  const read = sensitivity.filter(({ classes }) => classes.length > 0)
  return html`<h3>Tools</h3>
    ${table(
      ['Tool', 'Calls', 'Let through', 'Refused', 'Data', 'Resources'],
      tools.map((row) => [shown(row.tool), row.calls, row.permitted, row.refused, listed(row.data), listed(row.resources)]),
      'No tool was called.',
    )}
    <h3>Data classes</h3>
    ${table(
      ['Class', 'Calls', 'Through'],
      data.map((row) => [shown(row.class), row.calls, listed(row.tools)]),
      'No call touched data of a named class.',
    )}
    <h3>What had been read, and when</h3>
    ${table(
      ['Time', 'Task', 'Read so far'],
      read.map((row) => [time(row.at), mono(row.task), listed(row.classes)]),
      'Nothing that has a class was read before any call.',
    )}
    <h3>Destinations</h3>
    ${table(
      ['Service', 'Egress', 'Proven to be', 'Calls', 'Bytes out / in', 'Who answers for it'],
      identities.services.map((row) => [
        mono(row.downstream),
        listed(row.egress),
        listed(row.proven, 'nobody proven'),
        row.calls,
        `${row.bytes_out} / ${row.bytes_in}`,
        listed(row.answerable.map(({ what, who }) => `${what.replaceAll('_', ' ')}: ${who}`)),
      ]),
      'No call went anywhere.',
    )}`
}

export function responsible({ identities }: Summary): Html {
  const { agents, callers, people: persons } = identities
  const named = (row: Readonly<Record<string, string>>): string => listed(Object.entries(row).map(([role, who]) => `${role}: ${who}`))
  return html`${table(
      ['Registered agent', 'Owners', 'Bounds set by'],
      agents.map((row) => [mono(row.agent), named(row.owners), named(row.reviewers)]),
      'No registered agent made a call.',
    )}${table(
      ['Workload', 'Trust domain', 'Proven by', 'Calls'],
      callers.map((row) => [mono(row.caller), shown(row.trust_domain), row.proofs.map((proof) => shown(proof)).join('; '), row.calls]),
      'No workload made a call.',
    )}
    <p>
      People it was done for:
      ${listed(
        persons.map(({ subject, issuer }) => `${subject} (${issuer ?? 'no issuer'})`),
        'nobody',
      )}.
    </p>`
}

export function governed({ policies, controls, calls }: Summary): Html {
  const prompts = calls.filter(({ prompt }) => prompt !== null)
  return html`<h3>Policy</h3>
    ${table(
      ['Revision', 'In force since', 'Bundle (SHA-256)', 'Signed by', 'Decided', 'Rules that spoke'],
      policies.map((row) => [
        mono(row.revision),
        time(row.activated[0]?.at ?? null),
        mono(row.activated.at(-1)?.sha256 ?? null),
        shown(row.activated.at(-1)?.signed_by ?? null, 'nobody'),
        row.decided,
        listed(
          Object.entries(row.rules).map(([rule, times]) => `${rule} ×${times}`),
          'none',
        ),
      ]),
      'No policy decided here.',
    )}
    <h3>Controls whose rules spoke</h3>
    ${table(
      ['Control', 'Calls', 'Rules'],
      controls.map((row) => [shown(row.control), row.calls, listed(row.rules)]),
      'No rule with a control spoke.',
    )}
    <h3>Prompts</h3>
    ${table(
      ['Call', 'Declared', 'Model call', 'Asked / answered (SHA-256)'],
      prompts.map(({ tool, call, prompt }) => [
        html`${shown(tool)}<br />${mono(call)}`,
        mono(prompt?.declared ?? null),
        mono(prompt?.model_call ?? null),
        html`${mono(prompt?.request_sha256 ?? null)}<br />${mono(prompt?.answer_sha256 ?? null)}`,
      ]),
      'No call named a prompt.',
    )}`
}
