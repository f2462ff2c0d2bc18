/** The built program: the list and its version must survive bundling. */
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { openPlace } from './support.ts'

const LIST = `genai-prices ${packageJson.devDependencies['@pydantic/genai-prices']}`

test('the price of a model is shown with its steps, uses, tiers and source', async () => {
  const { out, code } = await openPlace().run(['prices', 'gpt-5.4'])
  expect(code).toBe(0)
  expect(out.split('\n')).toEqual([
    'gpt-5.4 of openai, US dollars per million tokens',
    '  ├─ input             2.5, 5 above 271,999 tokens of input',
    '  ├─ cached input      0.25, 0.5 above 271,999 tokens of input',
    '  ├─ cache write       2.5, 5 above 271,999 tokens of input',
    '  ├─ cache write hour  2.5, 5 above 271,999 tokens of input',
    '  ├─ output            15, 22.5 above 271,999 tokens of input',
    '  ├─ web search        0.01 each',
    '  ├─ file search       0.0025 each',
    '  ├─ flex              × 1/2',
    '  ├─ batch             × 1/2',
    '  ├─ priority          × 2',
    '  ├─ fast              × 2',
    '  ├─ context           1,050,000 tokens',
    expect.stringMatching(new RegExp(`^  └─ source            ${LIST}, in force on \\d{4}-\\d\\d-\\d\\d$`)),
    '',
  ])
})

test('a price of the configuration is shown as such, also in JSON', async () => {
  const place = openPlace()
  place.write(
    'iron-cage.yaml',
    'prices:\n  mine: { input_per_mtok: 2.5, cached_input_per_mtok: 0.25, output_per_mtok: 10 }\n',
  )
  const { out } = await place.type(['prices', 'mine', '--json'])
  expect(JSON.parse(out)).toMatchObject({
    provider: 'openai',
    model: 'mine',
    usd_per_million_tokens: {
      input: { base: '2.5', above: [] },
      cached_input: { base: '0.25', above: [] },
      output: { base: '10', above: [] },
    },
    source: 'config',
    date: null,
  })
})

test('models are found by a part of their name, those of the configuration first', async () => {
  const place = openPlace()
  place.write('iron-cage.yaml', 'prices:\n  my-sonnet: { input_per_mtok: 1, output_per_mtok: 2 }\n')
  const { out, code } = await place.type(['prices', '--search', 'SONNET', '--json'])
  const names = (JSON.parse(out) as { model: string; provider: string }[]).map(({ model }) => model)
  expect(code).toBe(0)
  expect(names.slice(0, 2)).toEqual(['my-sonnet', 'claude-3-5-sonnet'])
  expect(names.every((name) => name.includes('sonnet'))).toBe(true)
})

test.each([
  [['prices', 'gpt-4oo'], 'no price is known for "gpt-4oo" of openai or anthropic or google', 'did you mean gpt-4o?'],
  [['prices', 'gpt-4o', '--provider', 'anthropic'], 'no price is known for "gpt-4o" of anthropic', 'list what has one'],
  [['prices', '--search', 'xyzzy'], 'no model with "xyzzy" in its name has a price', 'list what has one'],
])('%j exits with 9 and prints the next command to type', async (words, what, hint) => {
  const { out, err, code } = await openPlace().type(words)
  expect([out, code]).toEqual(['', 9])
  expect(err).toContain(`iron-cage: ${what}\n`)
  expect(err).toContain(`hint: ${hint}`)
})

test.each([
  ['config', 'check'],
  ['serve', '--port', '0'],
])('%s %s refuses a price that is far from the list', async (...words) => {
  const place = openPlace()
  place.write('iron-cage.yaml', 'prices:\n  gpt-4:\n    input_per_mtok: 0.03\n    output_per_mtok: 60\n')
  const { err, code } = await place.run(words)
  expect(code).toBe(2)
  expect(err).toContain(
    `iron-cage.yaml:3: prices.gpt-4.input_per_mtok: expected at most 20 times more or less than 30 (${LIST}), or "confirm: true" beside it, got 0.03`,
  )
})
