import { expect, test } from 'vitest'
import { Fences } from '../../../src/redaction/code/fences.ts'
import fc from '../../support/fast-check.ts'

/** Whether each character is inside a block, read line by line. */
function insideOf(text: string): boolean[] {
  const inside: boolean[] = []
  let run = 0
  for (const line of text.split(/(?<=\n)/)) {
    const [, indent = '', marks = ''] = /^([ \t>*+-]*)(`{3,16})/.exec(line) ?? []
    const isFence = marks !== '' && indent.length <= 24 && (run === 0 || marks.length >= run)
    const before = run
    if (isFence) run = run === 0 ? marks.length : 0
    for (let at = 0; at < line.length; at++) inside.push((at < indent.length + marks.length ? before : run) > 0)
  }
  return inside
}

const lines = fc
  .array(fc.constantFrom('```', '```py', '````', '  ```', '> ```', 'a ``` b', 'text', '`code`', '', 'x'.repeat(40)), {
    maxLength: 12,
  })
  .map((all) => all.join('\n'))

test('a position is inside a block where the line-by-line reading says so, also when the text is dropped as it grows', () => {
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 50 }), (text, step) => {
      const inside = insideOf(text)
      const fences = new Fences()
      let kept = ''
      let dropped = 0
      for (let at = 0; at < text.length; at += step) {
        const drop = Math.max(0, kept.length - 160)
        fences.drop(kept, drop)
        dropped += drop
        kept = kept.slice(drop) + text.slice(at, at + step)
        for (let position = Math.max(at, 0); position < Math.min(at + step, text.length); position++) {
          if (text[position] !== '`') expect(fences.surround(kept, position - dropped)).toBe(inside[position])
        }
      }
    }),
    { numRuns: 3_000 },
  )
})
