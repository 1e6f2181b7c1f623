/** What providers, routes and tools say of who answers for them, and who approved them until when. */
import { z } from 'zod'
import { moment } from '../units.ts'

/** Who approved a thing, and until when. */
export const Approved = z.strictObject({
  by: z.string().min(1).max(256).describe('Who approved it: an address or a team that answers.'),
  until: moment.optional().describe('When the approval lapses: what it approved is refused from then on. Absent: never.'),
})

/** Members that every provider has, whatever its type. */
export const answering = {
  owner: z.string().min(1).max(256).optional().describe('Who answers for the credential.'),
  approved: Approved.optional().describe('Who approved that it is lent, and until when.'),
}
