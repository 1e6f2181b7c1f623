import { z } from 'zod'
import { channelName } from '../approve/channel.ts'
import { ChannelConfig } from '../approve/registry.ts'
import { durationBetween } from '../units.ts'
import { who } from './sign-in.ts'

const escalate = z
  .strictObject({
    after: durationBetween(1000, 86_400_000).prefault('10m').describe('Silence after which the incident owner of the agent is told.'),
    to: channelName.optional().describe('Channel that tells; absent: all of them.'),
  })
  .optional()
  .describe('What happens when nobody answers. The notice names the incident owner.')

/** Members of `approve`: where people are asked, and what happens when nobody answers. */
export const channelSettings = {
  channels: z
    .array(ChannelConfig)
    .max(32)
    .prefault([{ type: 'page' }])
    .describe('Where people hear of what is asked. `page` is the page on the admin port; empty: the command line alone.'),
  escalate,
  break_glass: z
    .array(who)
    .max(64)
    .default([])
    .describe('Who may approve without being asked, alone and loudly: `group:<name>` or `person:<name>`. Empty: nobody.'),
}
