import { expect, test } from 'vitest'
import { type Json, type JsonObject, parseReplyJson } from '../../src/dialects/json.ts'
import { rewriteJson } from '../../src/dialects/rewrite-json.ts'
import fc from '../support/fast-check.ts'

const TEXT =
  ' { "a" : 1.0, "b":[1, {"x":"\\u0061\\"}"} , 725653563933458433 ] ,"c":null, "d": {"e" :{} ,"f": [ ] }, "g":1e2}\n'
const BEFORE = parseReplyJson(TEXT) as JsonObject
const [ONE, LETTER, ID] = BEFORE.b as [number, { x: string }, JsonObject]

test.each<[what: string, after: Json, written: string]>([
  ['nothing', BEFORE, TEXT],
  ['nothing, in copies of its objects', { ...BEFORE, b: [ONE, { ...LETTER }, ID] }, TEXT],
  ['a string', { ...BEFORE, c: 'new' }, TEXT.replace('null', '"new"')],
  ['a string in a list', { ...BEFORE, b: [ONE, { x: 'ä' }, ID] }, TEXT.replace('"\\u0061\\"}"', '"ä"')],
  ['a name', { ...BEFORE, b: [ONE, { y: LETTER.x }, ID] }, TEXT.replace('"x":', '"y":')],
  ['the first field', without('a'), TEXT.replace('"a" : 1.0, ', '')],
  ['the first two', without('a', 'b'), ' { "c":null, "d": {"e" :{} ,"f": [ ] }, "g":1e2}\n'],
  ['one in the middle', without('c'), TEXT.replace(' ,"c":null', '')],
  ['the last two', without('d', 'g'), TEXT.replace(', "d": {"e" :{} ,"f": [ ] }, "g":1e2', '')],
  [
    'one, and gets another',
    { ...without('c', 'g'), z: true },
    TEXT.replace(' ,"c":null', '').replace('"g":1e2', '"z":true'),
  ],
  ['nothing, and gets a field', { ...BEFORE, z: [2] }, TEXT.replace('1e2}', '1e2,"z":[2]}')],
  ['a list for another', { ...BEFORE, b: [] }, TEXT.replace(/\[1.*433 \]/, '[]')],
])('JSON that loses %s is the same text everywhere else', (_what, after, written) => {
  const text = rewriteJson(TEXT, BEFORE, after)
  // Two changes of the names of one object differ by their number only.
  expect(JSON.stringify(parseReplyJson(text))).toBe(JSON.stringify(parseReplyJson(written)))
  if (!written.includes('"z":true')) expect(text).toBe(written)
})

test('a rewritten document has the same meaning as the new value, for any JSON', () => {
  const value = () => fc.jsonValue({ depthSize: 'small' }) as fc.Arbitrary<Json>
  fc.assert(
    fc.property(value(), value(), fc.nat(4), (before, after, spaces) => {
      const text = JSON.stringify(before, null, spaces)
      const parsed = parseReplyJson(text) as Json
      expect(parseReplyJson(rewriteJson(text, parsed, after))).toEqual(parseReplyJson(JSON.stringify(after)))
      expect(rewriteJson(text, parsed, JSON.parse(JSON.stringify(parsed)))).toBe(text)
    }),
    { numRuns: 500 },
  )
})

test('a name that stands twice was read once, and is written once', () => {
  const text = '{"a":"hidden","b":12345678901234567890,"a":"shown"}'
  expect(rewriteJson(text, parseReplyJson(text) as Json, parseReplyJson(text) as Json)).toBe(
    '{"a":"shown","b":12345678901234567890}',
  )
})

function without(...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(BEFORE).filter(([name]) => !names.includes(name)))
}
