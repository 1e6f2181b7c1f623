import { z } from 'zod'
import { durationBetween } from '../units.ts'
import { channelSettings } from './channels.ts'

const day = 86_400_000

/** `approve`: where people are asked, how long they are waited for, and what an agent may ask of them. */
export const approveConfig = z.strictObject({
  ...channelSettings,
  hold: durationBetween(0, 55_000)
    .prefault('25s')
    .describe('The most a call may wait for a person, and only if it sent `Prefer: wait=N` (RFC 7240 §4.3); 0s: none waits.'),
  held_per_caller: z.int().min(1).max(1000).default(8).describe('Calls of one caller that may wait for a person at a time.'),
  pending_per_caller: z.int().min(1).max(10_000).default(32).describe('Approvals of one caller that people may owe an answer at a time.'),
  ttl: durationBetween(10_000, 7 * day)
    .prefault('15m')
    .describe('How long people may answer, and the call be made once they did, where policy does not say.'),
  declined: durationBetween(0, 7 * day)
    .prefault('15m')
    .describe('How long the same call is refused after a person declined it, or took the approval back, before it is asked again.'),
  defer: z
    .strictObject({
      hold: durationBetween(0, 55_000)
        .prefault('10s')
        .describe(
          'The most a call waits for a fact, a conflict or a call before it, whatever it prefers; 0s: none waits, and all are refused.',
        ),
      chain: z.int().min(1).max(32).default(4).describe('How many calls may wait one behind the other, the first included.'),
      held_per_caller: z.int().min(1).max(1000).default(8).describe('Calls of one caller that may wait so at a time.'),
    })
    .prefault({})
    .describe('Calls that policy defers: they wait, are judged again, and are denied in the end.'),
  unanswered: durationBetween(0, day).prefault('1m').describe('The same after nobody answered in time.'),
})
