import type { Command } from './command.ts'

/** A command by name. Its file is read when it is called for: a short command starts in a moment. */
export interface ListedCommand {
  readonly name: string
  /** One line for the overview. */
  readonly summary: string
  readonly load: () => Promise<Command>
}

/** Every command, in the order of the overview. */
export const commands: readonly ListedCommand[] = [
  {
    name: 'start',
    summary: 'run the proxy; without --config, a demonstration on one machine',
    load: async () => (await import('./start.ts')).start,
  },
  {
    name: 'init',
    summary: 'write a configuration, a policy and variables for what is on this machine',
    load: async () => (await import('./init.ts')).init,
  },
  { name: 'check', summary: 'check a configuration file, all problems at once', load: async () => (await import('./check.ts')).check },
  {
    name: 'doctor',
    summary: 'say why identity does not work, and what to do about it',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  { name: 'schema', summary: 'print the JSON Schema of the configuration', load: async () => (await import('./schema.ts')).schema },
  { name: 'page', summary: 'a link into the page, signed in as you', load: async () => (await import('./page.ts')).page },
  { name: 'logs', summary: 'read and follow the decision log', load: async () => (await import('./logs.ts')).logs },
  {
    name: 'task',
    summary: 'list, show, pause, resume and complete tasks, and show whom they were handed to',
    load: async () => (await import('./task.ts')).task,
  },
  {
    name: 'kill',
    summary: 'stop an agent, task, tool, route, owner, trust domain or everything',
    load: async () => (await import('./kill.ts')).kill,
  },
  { name: 'kills', summary: 'list what is stopped', load: async () => (await import('./kill.ts')).kills },
  {
    name: 'signal',
    summary: 'give, list and withdraw facts that calls may wait for',
    load: async () => (await import('./signal.ts')).signal,
  },
  { name: 'lift', summary: 'end a kill', load: async () => (await import('./kill.ts')).lift },
  {
    name: 'approvals',
    summary: 'see what is asked of people, and answer it',
    load: async () => (await import('./approvals.ts')).approvals,
  },
  { name: 'approver', summary: 'make the key pair that a person answers with', load: async () => (await import('./approver.ts')).approver },
  {
    name: 'agents',
    summary: 'list, propose, accept, suspend, resume and retire registrations of agents',
    load: async () => (await import('./agents.ts')).agents,
  },
  {
    name: 'policy',
    summary: 'build, lint, test, explain, replay, compare and learn policy',
    load: async () => (await import('./policy.ts')).policy,
  },
  {
    name: 'dev-identity',
    summary: 'a SPIFFE trust domain for one machine, and SVIDs on request',
    load: async () => (await import('./dev-identity.ts')).devIdentity,
  },
  { name: 'inject', summary: 'put the sidecar into manifests of Kubernetes', load: async () => (await import('./inject.ts')).inject },
  {
    name: 'inject-webhook',
    summary: 'an admission webhook that puts the sidecar into pods',
    load: async () => (await import('./inject-webhook.ts')).injectWebhook,
  },
  {
    name: 'evidence',
    summary: 'verify a ledger with nothing but its public key',
    load: async () => (await import('./evidence.ts')).evidence,
  },
  { name: 'backup', summary: 'copy state and ledger of a running Countersign', load: async () => (await import('./backup.ts')).backup },
  {
    name: 'frameworks',
    summary: 'what OWASP, NIST, MITRE and others ask for, and what of it was at work',
    load: async () => (await import('./frameworks.ts')).frameworksCommand,
  },
]
