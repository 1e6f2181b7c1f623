import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { exported, refund, Story, task } from '../../support/evidence-story.ts'

const text = async (story: Story): Promise<string> => Buffer.from((await exported(story)).files.get('report.html') ?? '').toString()

describe('the report', () => {
  test('tells what happened, who approved it and why, and how the credential ended', async () => {
    const page = await text(refund())
    for (const said of [
      'refund order 1042',
      'person:ada',
      'it was returned',
      'decide.denied',
      'its issuer confirmed that it is gone, after 16 ms',
    ])
      expect(page).toContain(said)
  })

  test('says of a credential without an end that nothing says it ended', async () => {
    const story = new Story()
    story.opened(task)
    story.writer.event('lease.issued', { id: 'l_1', provider: 'crm', revocation: 'issuer' }, { task })
    story.writer.checkpoint()
    expect(await text(story)).toContain('no line says that it ended')
  })

  test('has no script, nothing from elsewhere, and one style by its digest', async () => {
    const page = await text(refund())
    expect(page).not.toMatch(/<script|<link|<img|<iframe|javascript:|https?:\/\/[^<]*\.(css|js|png)|\son\w+=/i)
    const style = /<style>([\s\S]*)<\/style>/.exec(page)?.[1] ?? ''
    expect(page).toContain(`style-src &#39;sha256-${hash('sha256', style, 'base64')}&#39;`)
    expect(page).toContain('default-src &#39;none&#39;')
  })

  test('shows what an agent, a person or a service wrote as text, and what cannot be seen by its name', async () => {
    const hostile = '</td><script>alert(1)</script><img src=x onerror=alert(1)> "\'` \u202egnp.exe \u200b'
    const story = new Story()
    story.opened(task, { purpose: hostile, tools: [hostile] })
    story.call(task, {
      tool: hostile,
      resource: hostile,
      rules: [hostile],
      controls: [hostile],
      downstream: hostile,
      approved_by: [hostile],
    })
    story.writer.event('approval.granted', { approval: 'a_1', reason: hostile, task }, { by: hostile })
    story.ended(task, { cause: hostile })
    story.writer.checkpoint()
    const page = await text(story)
    expect(page).not.toMatch(/<script|<img|\u202e|\u200b/)
    expect(page).toContain('⟨U+202E⟩')
  })

  test('can be made, like the whole set, of what holds half a surrogate pair', async () => {
    const story = new Story()
    story.opened(task, { purpose: 'a\ud800b', root: 'user:\udc00', budget: { '\ud800': 1 } })
    story.call(task, { txn: { id: '\ud800' }, tool: '\ud800' })
    story.writer.checkpoint()
    const { summary } = await exported(story)
    expect(summary.tasks[0]?.purpose).toBe('a\ufffdb')
    expect(summary.correlation).toMatchObject({ roots: ['user:u-7', 'user:\ufffd'], txns: ['\ufffd'] })
  })
})
