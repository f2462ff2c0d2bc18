import { expect, test } from 'vitest'
import { excesses, rates } from '../scripts/english.ts'

test('no page, comments or titles sound more translated than their limits in scripts/english.json allow', () => {
  expect(excesses(rates())).toEqual([])
})

test('a planted page with such sentences is found', () => {
  const text = 'What it says is heard by nobody: whoever asks has a list of its own.'
  const planted = { name: 'docs/planted.md', file: 'docs/planted.md', text }
  expect(excesses(rates([planted]))).toEqual([
    expect.stringContaining('docs/planted.md: indefinite person'),
    expect.stringContaining('docs/planted.md: "what is" as a noun'),
    expect.stringContaining('docs/planted.md: say, hear, tell'),
    expect.stringContaining('docs/planted.md: "a … of its own"'),
  ])
})
