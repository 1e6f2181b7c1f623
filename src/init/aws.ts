/** Routes to AWS: a role that is assumed for each task, for the services that most agents call. */
import type { Env } from '../config/yaml-text.ts'
import type { Setup } from './identity.ts'
import { isSet } from './sdks.ts'

export interface AwsPlan {
  readonly role: string
  readonly region: string
  /** `identity` of the providers, as YAML flow text. */
  readonly identity: string
}

export interface AwsFound {
  /** Null when nothing can be written for it. */
  readonly plan: AwsPlan | null
  /** What a person is told; null when AWS is not in sight. */
  readonly remark: string | null
}

const shows = [
  'AWS_ROLE_ARN',
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ENDPOINT_URL',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
]

/** What the environment says of AWS. Keys are never taken over: without a role there is nothing that ends with a task. */
export function lookForAws(env: Env, setup: Setup): AwsFound {
  if (!shows.some((name) => isSet(env, name))) return { plan: null, remark: null }
  const [role = '', file = '', region = env['AWS_DEFAULT_REGION'] ?? ''] = [
    env['AWS_ROLE_ARN'],
    env['AWS_WEB_IDENTITY_TOKEN_FILE'],
    env['AWS_REGION'],
  ]
  const identity = file !== '' ? `{ token_file: ${JSON.stringify(file)} }` : setup === 'spire' ? 'svid' : null
  if (!/^arn:aws[a-z-]*:iam::\d{12}:role\/\S+$/.test(role) || !/^[a-z]{2}(-[a-z]+)+-\d$/.test(region) || identity === null)
    return {
      plan: null,
      remark: 'AWS: nothing was written. It takes AWS_ROLE_ARN, AWS_REGION, and AWS_WEB_IDENTITY_TOKEN_FILE or SPIRE: docs/aws.md',
    }
  return {
    plan: { role, region, identity },
    remark: `AWS: ${role}, to read DynamoDB and S3; narrow resources, and add what it may change: docs/aws.md`,
  }
}

const services = [
  {
    name: 'dynamodb',
    scope: ['dynamodb:GetItem', 'dynamodb:Query'],
    resources: (region: string) => `arn:aws:dynamodb:${region}:*:table/*`,
    route: 'selects: [x-amz-target]\n      refusals: aws-json',
    tools: ['GetItem', 'Query'].map(
      (call) =>
        `{ name: aws.dynamodb.${call.toLowerCase()}, match: "POST /", headers: { x-amz-target: DynamoDB_20120810.${call} }, args: json, effect: read, risk: low, data: [internal], egress: partner }`,
    ),
  },
  {
    name: 's3',
    scope: ['s3:GetObject', 's3:ListBucket'],
    resources: () => 'arn:aws:s3:::*',
    route: 'selects: [x-amz-copy-source]\n      refusals: aws-xml',
    tools: ['{ name: aws.s3.read, match: "GET /{+key}", effect: read, risk: low, data: [internal], egress: partner }'],
  },
] as const

/** Lines below `credential.providers`. */
export function awsProviders({ role, region, identity }: AwsPlan): string {
  const lines = services.map(({ name, scope, resources }) => {
    const sigv4 = `apply: { sigv4: { service: ${name}, region: ${region} } }`
    return `    ${name}: { type: aws, role: ${JSON.stringify(role)}, region: ${region}, identity: ${identity}, scope: [${scope.join(', ')}], resources: [${JSON.stringify(resources(region))}], ${sigv4} }\n`
  })
  return lines.join('')
}

/** Lines below `forward.routes`. */
export function awsRoutes({ region }: AwsPlan): string {
  return services
    .map(({ name, route, tools }) => {
      const lines = [`at: /${name}`, `to: "https://${name}.${region}.amazonaws.com"`, `credential: ${name}`, route]
      const body = lines.map((line) => `      ${line}\n`).join('')
      return `    ${name}:\n${body}      tools:\n${tools.map((tool) => `        - ${tool}\n`).join('')}`
    })
    .join('')
}

/** Variables of the AWS SDKs. An S3 client sends the bucket as a host name unless the endpoint is an address. */
export function awsVariables(port: number): readonly string[] {
  const endpoints = services.map(({ name }) => `AWS_ENDPOINT_URL_${name.toUpperCase()}=http://127.0.0.1:${port}/${name}`)
  return [
    '# AWS SDKs: keys that open nothing; the identity goes into a header of its own: docs/aws.md',
    ...endpoints,
    'AWS_ACCESS_KEY_ID=countersign',
    'AWS_SECRET_ACCESS_KEY=countersign',
  ]
}
