import { z } from 'zod'
import { durationBetween } from '../units.ts'
import { isSafeEndpoint } from './ask-issuer.ts'
import { OwnIdentityConfig } from './own-identity.ts'

/** Of a service, as it is named in a signature, or of a region. */
const Name = z.string().regex(/^[a-z0-9-]{1,64}$/, 'must be a name such as dynamodb or eu-central-1')

/** A plain name and a wildcard in it, behind the service: `s3:GetObject`, `dynamodb:Get*`. */
const Action = z.string().regex(/^[a-z0-9-]{1,64}:[A-Za-z*?]{1,128}$/, 'must be an IAM action such as s3:GetObject')

const Arn = z.string().regex(/^(\*|arn:[\x21\x23-\x5b\x5d-\x7e]{1,1019})$/, 'must be an ARN, or *')

/** Settings of an `aws` provider. */
export const AwsConfig = z
  .strictObject({
    type: z.literal('aws'),
    role: z
      .string()
      .regex(/^arn:aws(-[a-z]+)*:iam::\d{12}:role\/([\x21-\x7e]{1,511}\/)?[\w+=,.@-]{1,64}$/, 'must be the ARN of a role')
      .describe('The role that is assumed; it must trust our identity (AssumeRoleWithWebIdentity).'),
    region: Name.describe('Region whose STS is asked.'),
    endpoint: z
      .url()
      .refine(isSafeEndpoint, 'must be https, or http on loopback')
      .optional()
      .describe('STS endpoint; by default that of the region.'),
    identity: OwnIdentityConfig,
    audience: z
      .string()
      .regex(/^[\x21-\x7e]{4,512}$/, 'must be 4 to 512 characters of ASCII without spaces')
      .default('sts.amazonaws.com')
      .describe('Audience of our identity token, as the identity provider in IAM lists it.'),
    tags: z
      .boolean()
      .default(false)
      .describe('Session tags task, agent and tool, in the token that our own key signs: needs `identity: signed` and sts:TagSession.'),
    scope: z.array(Action).max(64).default([]).describe('IAM actions: the widest session policy. Empty: whatever the role may do.'),
    resources: z.array(Arn).min(1).max(64).default(['*']).describe('ARNs that the session policy is limited to.'),
    policy_arns: z
      .array(z.string().regex(/^arn:aws(-[a-z]+)*:iam::(\d{12}|aws):policy\/[\x21-\x7e]{1,512}$/, 'must be the ARN of a managed policy'))
      .max(10)
      .default([])
      .describe('Managed policies that limit the session further.'),
    ttl: durationBetween(1000, 43_200_000).default(900_000).describe('Longest use of a lease. STS gives no less than 15 minutes.'),
    timeout: durationBetween(50, 60_000).default(5000).describe('Longest wait for one answer of STS.'),
    apply: z
      .strictObject({ sigv4: z.strictObject({ service: Name, region: Name }) })
      .describe('{ sigv4: { service, region } }: signing name and region of the service that is called.'),
  })
  .describe('Keys of an AWS role for one task (STS AssumeRoleWithWebIdentity); each request is signed here, the agent never has them.')

export type AwsConfig = z.infer<typeof AwsConfig>
