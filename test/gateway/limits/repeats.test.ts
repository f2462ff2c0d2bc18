import { expect, test } from 'vitest'
import type { Json } from '../../../src/dialects/json.ts'
import { repeatsOf } from '../../../src/gateway/limits/repeats.ts'

const HALF = 'Grass grows. '.repeat(4_000)
const LONG = HALF + HALF

const fingerprint = (last: Json): string => repeatsOf({ model: 'penny', messages: ['Hi.', last] }).fingerprint

test.each<[place: string, around: (text: string) => Json]>([
  ['a text by itself', (text) => text],
  ['the content of a message', (content) => ({ role: 'user', content })],
  [
    'a part of the content',
    (text) => ({
      role: 'user',
      content: [
        { type: 'text', text: 'Read:' },
        { type: 'text', text },
      ],
    }),
  ],
  [
    'the result of a tool',
    (content) => ({ role: 'user', content: [{ type: 'tool_result', content: [{ text: content }] }] }),
  ],
  ['any other field', (data) => ({ role: 'user', data })],
])('requests differ by one character in the middle of a long text: in %s', (_place, around) => {
  const changed = `${HALF}!${HALF}`
  expect(fingerprint(around(LONG))).toBe(fingerprint(around(LONG)))
  expect(fingerprint(around(changed))).not.toBe(fingerprint(around(LONG)))
  expect(fingerprint(around(LONG.toLowerCase()))).not.toBe(fingerprint(around(LONG)))
})

test('requests are distinct if the text beside a long text or its position differs', () => {
  const fingerprints = [
    { role: 'user', content: LONG },
    { role: 'assistant', content: LONG },
    { role: 'user', content: [LONG] },
    { role: 'user', content: { text: LONG } },
    { role: 'user', text: LONG },
    LONG,
  ].map(fingerprint)
  expect(new Set(fingerprints).size).toBe(fingerprints.length)
})
