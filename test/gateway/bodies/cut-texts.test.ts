import { expect, test } from 'vitest'
import type { Json } from '../../../src/dialects/json.ts'
import { free } from '../../../src/gateway/bodies/bytes.ts'
import { CONTEXT_CHARACTERS, Cuts, cutTexts, EDGE_CHARACTERS, newMark } from '../../../src/gateway/bodies/cut-texts.ts'
import fc from '../../support/fast-check.ts'

const mark = newMark()
const closed = (value: Json) => ({ parsed: value, value, openEnds: new Set<string>() })
const cut = (value: Json) => cutTexts(JSON.stringify(value), closed(value), mark)

async function written(text: string, cuts: Cuts): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of cuts.piecesOf(text)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces).toString()
}

test('cutting long texts out of a body and restoring them is lossless for any border characters', async () => {
  const part = fc.stringMatching(/^[a"\\\n\u0000é漢🎉\ud800]{1,9}$/u)
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), fc.nat(9), async (parts, shift) => {
      const long = 'x'.repeat(shift) + parts.join('').repeat(Math.ceil(100_000 / parts.join('').length))
      const value = { texts: [long, 'short', { again: long, number: 1.5 }], empty: null }
      const { data, cuts } = cut(value)
      const whole = JSON.stringify(value)
      expect([cuts.length, data.length < whole.length / 2]).toEqual([2, true])
      expect((await written(data, new Cuts(mark, cuts))) === whole).toBe(true)
    }),
    { numRuns: 30 },
  )
})

test('a text in base64 stays one, and its length is known', () => {
  const { data, cuts } = cut('iVBORw0K'.repeat(100_000))
  const text = JSON.parse(data)
  expect(text).toMatch(/^[A-Za-z0-9]+$/)
  const read = new Cuts(mark, cuts)
  expect([read.isIn(text), read.isIn('iVBORw0K'.repeat(100_000))]).toEqual([true, false])
  expect(read.lengthIn(text)).toBe(800_000 - EDGE_CHARACTERS - CONTEXT_CHARACTERS)
})

test('a text that is not the longest stays whole with a mark before its end, which is longer where data may continue', async () => {
  const text = 'Grass grows. '.repeat(2_000)
  const { data, cuts, unread } = cut(text)
  const read = new Cuts(mark, cuts)
  const marked = JSON.parse(data) as string
  const at = read.markIn(marked)
  expect([marked.slice(0, at.start) + marked.slice(at.end) === text, marked.length - at.end]).toEqual([
    true,
    CONTEXT_CHARACTERS,
  ])
  expect((await written(data, read)) === JSON.stringify(text)).toBe(true)
  const open = cutTexts(JSON.stringify(text), { ...closed(text), openEnds: new Set([text]) }, mark)
  expect(JSON.parse(open.data).length - read.markIn(JSON.parse(open.data)).end).toBe(16_384)
  expect([unread, open.unread, cut('short').unread]).toEqual([
    2 * CONTEXT_CHARACTERS,
    EDGE_CHARACTERS + CONTEXT_CHARACTERS,
    5,
  ])
})

test('bytes that were given back are not written', async () => {
  const { data, cuts } = cut('x'.repeat(1_000_000))
  for (const { bytes } of cuts) free(bytes)
  expect((await written(data, new Cuts(mark, cuts))).length).toBeLessThan(100_000)
})
