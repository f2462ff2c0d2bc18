/** `prices update`: a newer list is compared, pinned by its hash, and refused whole when it is not the one that is meant. */
import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openPlace, type Place } from './support.ts'

const model = (id: string, prices: object) => ({ id, match: { equals: id }, prices })
const listOf = (...models: object[]) =>
  JSON.stringify([{ id: 'openai', name: 'OpenAI', api_pattern: 'x', models }], null, 1)
const LIST = listOf(
  model('gpt-4', { input_mtok: 31, output_mtok: 60 }),
  model('gpt-9', [
    { prices: { input_mtok: { base: 5, tiers: [{ start: 200000, price: 10 }] }, output_mtok: 20 } },
    { constraint: { start_date: '2026-01-01' }, prices: { input_mtok: 4, output_mtok: 16 } },
  ]),
)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const inputOf = async (place: Place, name: string) => {
  const { out } = await place.type(['prices', name, '--json'])
  return (
    out &&
    (JSON.parse(out) as { usd_per_million_tokens: { input: { base: string } } }).usd_per_million_tokens.input.base
  )
}

test('a file is compared with the list in use, pinned in the configuration, and then priced by', async () => {
  const place = openPlace()
  const before = '# Mine.\nbudget: { limit_usd: 5 } # enough\n'
  place.write('iron-cage.yaml', before)
  chmodSync(join(place.folder, 'iron-cage.yaml'), 0o600)
  place.write('new.json', LIST)

  const dry = await place.run(['prices', 'update', 'new.json', '--dry-run'])
  expect(dry.code).toBe(0)
  expect(dry.out).toMatch(/^~ +openai\/gpt-4 +input 30 → 31, cached input 30 → 31, /m)
  expect(dry.out).toMatch(/^\+ +openai\/gpt-9 +input 4, /m)
  expect(dry.out).toMatch(/^- +openai\/gpt-4o +no longer listed/m)
  expect(dry.out).toMatch(/1 new, \d+ gone, 1 changed/)
  expect(readFileSync(join(place.folder, 'iron-cage.yaml'), 'utf8')).toBe(before)

  const { code, err } = await place.type(['prices', 'update', 'new.json', '--sha256', sha256(LIST).toUpperCase()])
  expect([code, err]).toEqual([0, expect.stringContaining(`pinned ${sha256(LIST)} in `)])
  const config = readFileSync(join(place.folder, 'iron-cage.yaml'), 'utf8')
  expect(config).toMatch(/^# Mine.\nbudget: \{ limit_usd: 5 \} # enough\nprice_list:\n/)
  expect(statSync(join(place.folder, 'iron-cage.yaml')).mode & 0o777).toBe(0o600)
  expect(await inputOf(place, 'gpt-9')).toBe('4')
  expect((await place.type(['prices', 'gpt-4o'])).code).toBe(9)
  expect((await place.type(['prices', 'list'])).err).toMatch(
    /^iron-cage\.prices\.json of \d{4}-\d\d-\d\d, 0 days old; /,
  )
  expect((await place.type(['doctor'])).out).toMatch(/Price list +iron-cage\.prices\.json of .+, 0 days old/)

  const again = await place.type(['prices', 'update', 'new.json', '--json'])
  expect(JSON.parse(again.out)).toMatchObject({ added: [], removed: [], changed: [], sha256: sha256(LIST) })
  expect(readFileSync(join(place.folder, 'iron-cage.yaml'), 'utf8')).toBe(config)
})

test('a list that was changed after it was pinned starts nothing and prices nothing', async () => {
  const place = openPlace()
  place.write('new.json', LIST)
  await place.type(['prices', 'update', 'new.json'])
  const cheaper = LIST.replace('31', '3.1')
  writeFileSync(join(place.folder, 'iron-cage.prices.json'), cheaper)
  for (const words of [
    ['prices', 'gpt-4'],
    ['config', 'check'],
    ['serve', '--port', '0'],
  ]) {
    const { code, err } = await (words[0] === 'serve' ? place.run(words) : place.type(words))
    expect([code, err]).toEqual([8, expect.stringContaining(`has the SHA-256 ${sha256(cheaper)}, not ${sha256(LIST)}`)])
  }
})

test.each([
  ['another hash', LIST, ['--sha256', '0'.repeat(64)], `has the SHA-256 ${sha256(LIST)}`],
  [
    'a negative price',
    LIST.replace('31', '-31'),
    [],
    'new.json:13:6: [0].models[0].prices.input_mtok: expected dollars',
  ],
  [
    'a price as text',
    LIST.replace('31', '"31"'),
    [],
    'new.json:13:6: [0].models[0].prices.input_mtok: expected dollars',
  ],
  ['a tier without a price', LIST.replace('"price": 10', '"prize": 10'), [], '.tiers[0].price: expected dollars'],
  ['an unknown condition', LIST.replace('start_date', 'from'), [], '.prices[1].constraint: expected a day'],
  [
    'a name that stands twice',
    LIST.replace('"output_mtok": 60', '"input_mtok": 1'),
    [],
    'new.json:14:6: duplicate key',
  ],
  ['half a file', LIST.slice(0, -40), [], 'new.json is not JSON'],
  ['something else', '{"gpt-4": 30}', [], 'new.json: expected a list of providers, got keys with values'],
  ['nothing', '[]', [], 'new.json'],
])('a list with %s is refused whole, by line and field, and nothing is written', async (_what, text, flags, says) => {
  const place = openPlace()
  place.write('new.json', text)
  const { code, err } = await place.type(['prices', 'update', 'new.json', ...flags])
  expect([code, err]).toEqual([8, expect.stringContaining(says)])
  expect((await place.type(['prices', 'gpt-4o'])).code).toBe(0)
})

test('an address is read with the day that it names; without TLS only from this machine or with a hash', async () => {
  const server = createServer((_, response) =>
    response.writeHead(200, { 'last-modified': 'Tue, 20 Oct 2026 07:28:00 GMT' }).end(LIST),
  )
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as { port: number }
  const place = openPlace()
  place.write('iron-cage.toml', '[price_list]\nunknown = "dearest"\n\n[budget]\nlimit_usd = 5\n')
  const { code } = await place.type(['prices', 'update', `http://127.0.0.1:${port}/data.json`])
  expect(code).toBe(0)
  expect(readFileSync(join(place.folder, 'iron-cage.toml'), 'utf8')).toBe(
    `[price_list]\nunknown = "dearest"\nfile = "iron-cage.prices.json"\nsha256 = "${sha256(LIST)}"\ndate = "2026-10-20"\n[budget]\nlimit_usd = 5\n`,
  )
  expect(await inputOf(place, 'gpt-9')).toBe('4')
  const open = await place.type(['prices', 'update', 'http://prices.example/data.json'])
  expect([open.code, open.err]).toEqual([2, expect.stringContaining('can be changed on its way')])
  server.close()
})
