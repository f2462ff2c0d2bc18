import { expect, test } from 'vitest'
import { Fences } from '../../../src/redaction/code/fences.ts'
import fc from '../../support/fast-check.ts'

/** Whether each character is inside a block, read line by line. */
function insideOf(text: string): boolean[] {
  const inside: boolean[] = []
  let run = 0
  for (const line of text.split(/(?<=\n)/)) {
    let isOpenedHere = false
    let at = 0
    for (const { 0: marks, index } of line.matchAll(/`{3,}/g)) {
      while (at < index + marks.length) {
        inside.push(run > 0)
        at++
      }
      const beginsLine = /^[ \t>*+-]{0,24}$/.test(line.slice(0, index))
      if (!beginsLine) {
        if (isOpenedHere && run > 0) run = 0
      } else if (run === 0 || /^[^\s]/.test(line.slice(at))) {
        run = marks.length
        isOpenedHere = true
      } else if (marks.length >= run) run = 0
    }
    for (; at < line.length; at++) inside.push(run > 0)
  }
  return inside
}

const lines = fc
  .array(
    fc.constantFrom(
      '```',
      '```py',
      '```one line```',
      '````',
      '  ```',
      '> ```',
      'a ``` b',
      'text',
      '`code`',
      '',
      'x'.repeat(40),
    ),
    {
      maxLength: 12,
    },
  )
  .map((all) => all.join('\n'))

test('the incremental reading finds the same code blocks as the line-by-line one, also while it drops read text', () => {
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
