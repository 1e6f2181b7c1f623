/** The channel `page`: the page on the admin port, where people look for what is asked of them. */
import { z } from 'zod'
import { channelName, defineChannel } from '../channel.ts'

const PageConfig = z
  .strictObject({ type: z.literal('page'), name: channelName.optional().describe('What it is called; default: page.') })
  .describe('The page on the admin port.')

export const page = defineChannel({
  type: 'page',
  config: PageConfig,
  open: (name) => ({ type: 'page', name, chat: null, deliver: null }),
})
