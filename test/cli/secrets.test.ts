import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { openPlace, type Place } from './support.ts'

const CANARY = 'sk-canary-7f3a9c2d41b8-end'
const LOOK = resolve(import.meta.dirname, '../agents/programs/look_for_key.py')

/** A place with a key file, and the environment that names it. */
async function openKeyed() {
  const place = openPlace()
  const made = await place.type(['keygen', '--out', 'master.key'])
  expect(made).toMatchObject({ code: 0, out: '' })
  return { place, env: { IRON_CAGE_MASTER_KEY_FILE: 'master.key' } }
}

async function serve(place: Place, env: Record<string, string>) {
  const server = place.start(['serve', '--port', '0'], { env })
  await server.shows('#code=')
  return server
}

test('keygen writes a new key, and never over a file that is there', async () => {
  const { place } = await openKeyed()
  const path = join(place.folder, 'master.key')
  expect(readFileSync(path, 'utf8')).toMatch(/^[\w-]{43}\n$/)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(await place.type(['keygen', '--out', 'master.key'])).toMatchObject({ code: 6, out: '' })
  const [one, other] = [await place.type(['keygen']), await place.type(['keygen'])]
  expect(one).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^[\w-]{43}\n$/) })
  expect(one.out).not.toBe(other.out)
})

test('without a server secrets are set, shown masked, revealed, replaced, taken back, deleted and restored', async () => {
  const { place, env } = await openKeyed()
  const secrets = (words: string[], stdin?: string) => place.type(['secrets', ...words], { env, stdin })
  expect(await secrets(['set', 'OPENAI_API_KEY'], `${CANARY}\n`)).toMatchObject({
    code: 0,
    out: '',
    err: 'OPENAI_API_KEY of development is in the vault (version 1)\n',
  })
  expect((await secrets(['list'])).out).toMatch(/^NAME .+\nOPENAI_API_KEY +development +sk-c…nd +version 1 +since /)
  expect((await secrets(['list', '--env', 'production'])).out).toBe('')
  expect((await secrets(['get', 'OPENAI_API_KEY'])).out).not.toContain(CANARY)
  expect((await secrets(['get', 'OPENAI_API_KEY', '--reveal'])).out).toBe(`${CANARY}\n`)
  place.write('value', 'two\nlines\n')
  expect((await secrets(['rotate', 'OPENAI_API_KEY', '--from-file', 'value'])).err).toContain('(version 2)')
  expect((await secrets(['get', 'OPENAI_API_KEY', '--reveal'])).out).toBe('two\nlines\n')
  expect((await secrets(['roll-back', 'OPENAI_API_KEY'])).err).toContain('(version 3)')
  expect((await secrets(['delete', 'OPENAI_API_KEY'])).code).toBe(0)
  expect((await secrets(['get', 'OPENAI_API_KEY'])).code).toBe(5)
  expect((await secrets(['list', '--deleted'])).out).toContain('deleted ')
  expect((await secrets(['restore', 'OPENAI_API_KEY'])).code).toBe(0)
  expect((await secrets(['get', 'OPENAI_API_KEY', '--reveal'])).out).toBe(`${CANARY}\n`)
  const audit = JSON.parse((await secrets(['audit', 'OPENAI_API_KEY', '--json'])).out) as { operation: string }[]
  const operations = audit.map(({ operation }) => operation).filter((operation) => operation !== 'rotated')
  expect(operations).toEqual(['read', 'restore', 'delete', 'roll_back', 'read', 'update', 'read', 'create'])

  expect(await secrets(['set', 'a-b'], 'value')).toMatchObject({ code: 2 })
  expect(await secrets(['set', 'EMPTY'], '')).toMatchObject({ code: 2, err: expect.stringContaining('empty') })
  expect(await secrets(['rotate', 'NOBODY'], 'value')).toMatchObject({ code: 5 })
  requireNowhere(place)
})

test('a value that is an ordinary word or very short is stored with a warning', async () => {
  const { place, env } = await openKeyed()
  const secrets = (words: string[], stdin: string) => place.type(['secrets', ...words], { env, stdin })
  expect((await secrets(['set', 'DB_USER'], 'postgres')).err).toMatch(
    /^warning: the value of DB_USER is an ordinary word or very short.+\nDB_USER of development is in the vault/s,
  )
  expect((await secrets(['rotate', 'DB_USER'], 'prod')).err).toContain('warning: the value of DB_USER')
  expect((await secrets(['rotate', 'DB_USER'], 'sesame42-x')).err).not.toContain('warning')
})

test('a running server is asked, and nothing is left of a value in any file', async () => {
  const { place, env } = await openKeyed()
  await serve(place, env)
  const secrets = (words: string[], stdin?: string) => place.type(['secrets', ...words], { env, stdin })
  expect((await secrets(['set', 'OPENAI_API_KEY'], CANARY)).err).toContain('is in the vault (version 1)')
  expect((await secrets(['rotate', 'OPENAI_API_KEY'], `${CANARY}-2`)).err).toContain('has a new value (version 2)')
  expect((await secrets(['get', 'OPENAI_API_KEY', '--reveal'])).out).toBe(`${CANARY}-2\n`)
  expect((await secrets(['delete', 'OPENAI_API_KEY'])).code).toBe(0)
  requireNowhere(place)
})

test('without a valid master key the secrets commands print a hint and exit with 8', async () => {
  const { place, env } = await openKeyed()
  await place.type(['secrets', 'set', 'A'], { env, stdin: 'value-of-a' })
  await place.type(['keygen', '--out', 'other.key'])
  place.write('weak.key', 'secret\n')
  for (const [wrong, says] of [
    [{}, 'there is no master key'],
    [{ IRON_CAGE_MASTER_KEY_FILE: 'missing.key' }, `(there is no file ${join(place.folder, 'missing.key')})`],
    [{ IRON_CAGE_MASTER_KEY_FILE: 'weak.key' }, 'too weak'],
    [{ IRON_CAGE_MASTER_KEY: 'x'.repeat(50) }, 'too weak'],
    [{ IRON_CAGE_MASTER_KEY_FILE: 'other.key' }, 'not the one that this vault was sealed with'],
  ] as const) {
    const refused = await place.type(['secrets', 'get', 'A', '--reveal'], { env: { ...wrong } })
    expect(refused).toMatchObject({ code: 8, out: '' })
    expect(refused.err).toContain(says)
    expect(refused.err).toContain('hint: ')
    const listed = await place.type(['secrets', 'list'], { env: { ...wrong } })
    expect(listed).toMatchObject({ code: 0, out: expect.stringMatching(/^NAME +.+\nA +development +••••/) })
    expect(listed.err).toContain('the vault is locked')
  }
})

test('the master key is changed while no server runs, and the old one opens nothing any more', async () => {
  const { place, env } = await openKeyed()
  await place.type(['secrets', 'set', 'A'], { env, stdin: 'value-of-a' })
  await place.type(['keygen', '--out', 'new.key'])
  const change = ['secrets', 'change-master-key', '--from-file', 'new.key']
  const server = await serve(place, env)
  expect(await place.type(change, { env })).toMatchObject({ code: 6, err: expect.stringContaining('is served by') })
  server.child.kill('SIGTERM')
  await server.ended
  expect(await place.type(['secrets', 'change-master-key'], { env, stdin: 'weak' })).toMatchObject({ code: 2 })
  expect(await place.type(change, { env })).toMatchObject({
    code: 0,
    err: expect.stringContaining('1 secrets are sealed'),
  })
  const reveal = ['secrets', 'get', 'A', '--reveal']
  expect((await place.type(reveal, { env })).code).toBe(8)
  expect(await place.type(reveal, { env: { IRON_CAGE_MASTER_KEY_FILE: 'new.key' } })).toMatchObject({
    code: 0,
    out: 'value-of-a\n',
  })
})

test('an agent gets its secret and finds the master key nowhere, not in any environment of its ancestors', async () => {
  const { place } = await openKeyed()
  const key = readFileSync(join(place.folder, 'master.key'), 'utf8').trim()
  const env = { IRON_CAGE_MASTER_KEY: key }
  await place.run(['secrets', 'set', 'DEMO_SECRET'], { env, stdin: 'abcd-0123456789' })
  const backwards = [...key].reverse().join('')
  const run = await place.run(['start', LOOK, '--port', '0', '--', backwards], { env })
  expect(run.out + run.err).toMatch(/looked at \d+ places; secret abcd/)
  expect(run.code).toBe(0)
})

function requireNowhere(place: Place): void {
  // The next head of the audit takes the name of the last one whenever it likes.
  const files = readdirSync(place.folder, { recursive: true, withFileTypes: true }).filter(
    (file) => file.isFile() && !file.name.endsWith('.next'),
  )
  expect(files.length).toBeGreaterThan(3)
  for (const { parentPath, name } of files) {
    expect(readFileSync(join(parentPath, name)).includes(CANARY), name).toBe(false)
  }
}
