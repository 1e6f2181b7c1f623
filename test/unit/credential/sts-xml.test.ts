import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readSts } from '../../../src/credential/sts-xml.ts'

const leaves = (text: string): unknown => {
  const document = readSts(text)
  return document && { root: document.root, ...Object.fromEntries(document.leaves) }
}

describe('an answer of STS', () => {
  it('is read by path', () => {
    const text =
      '<?xml version="1.0" encoding="UTF-8"?>\n<A xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <B>\n    <C>1 &lt; 2 &amp; 3</C>\n    <D/>\n  </B>\n  <E ></E>\n</A>\n'
    expect(leaves(text)).toEqual({ root: 'A', 'B/C': '1 < 2 & 3', 'B/D': '', E: '' })
  })

  it.each([
    ['nothing', ''],
    ['text alone', 'hello'],
    ['two roots', '<A/><A/>'],
    ['text after the root', '<A/>x'],
    ['an element that is not closed', '<A><B></A>'],
    ['an element that is closed twice', '<A></A></A>'],
    ['an element that stands twice', '<A><B>1</B><B>2</B></A>'],
    ['text beside elements', '<A>x<B>1</B></A>'],
    ['text after elements', '<A><B>1</B>x</A>'],
    ['a document type', '<!DOCTYPE A><A/>'],
    ['an entity of its own', '<A>&xxe;</A>'],
    ['a character reference', '<A>&#65;</A>'],
    ['an entity without an end', '<A>a & b</A>'],
    ['a comment', '<A><!-- x --></A>'],
    ['CDATA', '<A><![CDATA[x]]></A>'],
    ['a processing instruction', '<A><?x?></A>'],
    ['an attribute', '<A a="1"/>'],
    ['a prefix', '<a:A/>'],
    ['an attribute on an end', '<A></A xmlns="a">'],
    ['another encoding', '<?xml version="1.0" encoding="UTF-16"?><A/>'],
    ['more depth than any answer has', '<A>'.repeat(20) + '</A>'.repeat(20)],
    ['more elements than any answer has', `<A>${Array.from({ length: 300 }, (_, at) => `<B${at}/>`).join('')}</A>`],
    ['a cut tag', '<A><B'],
  ])('is not understood when it holds %s', (_what, text) => {
    expect(readSts(text)).toBeNull()
  })

  it('is never read wrongly, whatever it is: null, or what stands between its tags', () => {
    const piece = fc.constantFrom('<A>', '</A>', '<B>', '</B>', '<B/>', 'x', ' ', '&lt;', '&', '<!--', '>', '"', '<C xmlns="u">', '</C>')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const document = readSts(pieces.join(''))
        for (const value of document?.leaves.values() ?? []) expect(value).not.toMatch(/&|>.*</)
      }),
      { numRuns: 1000 },
    )
  })

  it('is read in linear time', () => {
    const text = `<A>${'<B>'.repeat(7)}${'&'.repeat(200_000)}`
    const begun = performance.now()
    expect(readSts(text)).toBeNull()
    expect(performance.now() - begun).toBeLessThan(1000)
  })
})
