import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, test, vi } from 'vitest'
import { createPanelDatabase, openPlace } from './support.ts'

test('health exits 0 while a server works, 8 while it cannot write, 7 without one', async () => {
  const place = openPlace()
  const server = place.start(['serve', '--port', '0'])
  await server.shows('http://localhost')
  expect(await place.run(['health', '--json'])).toMatchObject({
    code: 0,
    out: expect.stringContaining('"status": "ok"'),
  })

  const other = new Sqlite(join(place.folder, 'iron_state.db'))
  other.exec('BEGIN IMMEDIATE')
  const url = /http:\/\/localhost:\d+/.exec(server.out)![0]
  // A refused token is an event, which has to wait.
  await fetch(`${url}/api/agents`, { headers: { authorization: 'Bearer nobody' } })
  await vi.waitFor(
    async () => {
      expect(await place.type(['health'])).toMatchObject({ code: 8, err: expect.stringContaining('cannot be written') })
    },
    { timeout: 30_000 },
  )
  other.exec('ROLLBACK')
  other.close()
  await vi.waitFor(async () => expect((await place.type(['health'])).code).toBe(0), { timeout: 30_000 })

  server.child.kill('SIGTERM')
  await server.ended
  expect((await place.type(['health'])).code).toBe(7)
})

test('health asks the Control Panel that IRON_CAGE_URL names, without a token', async () => {
  const place = openPlace()
  const panel = place.start(['panel', '--port', '0'])
  await panel.shows('runtimes invite')
  const [url] = /http:\/\/localhost:\d+/.exec(panel.out)!
  const asked = { env: { IRON_CAGE_URL: url } }
  expect(await place.type(['health'], asked)).toMatchObject({ code: 0, out: expect.stringMatching(/^ok {2}iron-cage/) })
  panel.child.kill('SIGTERM')
  await panel.ended
  expect((await place.type(['health'], asked)).code).toBe(7)
})

test('a port held by another Iron Cage is reported as such, and a panel that cannot start leaves no files', async () => {
  const [first, second] = [openPlace(), openPlace()]
  const [server, panel] = [first.start(['serve', '--port', '0']), first.start(['panel', '--port', '0'])]
  await Promise.all([server.shows('#code='), panel.shows('runtimes invite')])
  const portOf = ({ out }: { out: string }) => /http:\/\/localhost:(\d+)/.exec(out)![1]!
  const [taken, takenByPanel] = [portOf(server), portOf(panel)]
  expect(await second.run(['panel', '--port', taken])).toMatchObject({
    code: 6,
    err: expect.stringMatching(
      `^iron-cage: 127.0.0.1:${taken} is taken by another server of Iron Cage \\S+ .http://127.0.0.1:${taken}.\n {2}hint: choose another port, such as --port ${Number(taken) + 1}, or --port 0`,
    ),
  })
  expect(readdirSync(second.folder)).toEqual([])
  expect((await second.run(['serve', '--port', takenByPanel])).err).toContain(
    'is taken by a Control Panel of Iron Cage',
  )
})

test('a panel lists the next steps until they are done, and its commands correct wrong input', async () => {
  const place = openPlace()
  expect(await place.type(['panel', 'token', '--database', 'iron_panel.db'])).toMatchObject({ code: 5, out: '' })
  expect(readdirSync(place.folder)).toEqual([])
  await createPanelDatabase(place)
  const [admin, viewer] = [
    (await place.type(['panel', 'token', '--role', 'admin'])).out.trim(),
    (await place.type(['panel', 'token', '--role', 'viewer', '--name', 'bob'])).out.trim(),
  ]
  const panel = place.start(['panel', '--port', '0'])
  await panel.shows('runtimes invite')
  expect(panel.out).toContain('iron-cage budget set --org 5')
  const [url] = /http:\/\/localhost:\d+/.exec(panel.out)!
  const as = (token: string, ...words: string[]) =>
    place.type(words, { env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: token } })
  const slip = async (token: string, ...words: string[]) => (await as(token, ...words)).err

  expect(await slip(admin, 'teams', 'add', 'research', 'carol')).toContain(
    '"iron-cage budget set --team research <usd>"',
  )
  await as(admin, 'budget', 'set', '--team', 'research', '1')
  expect(await slip(admin, 'teams', 'add', 'research', 'carol')).toContain(
    'hint: list them with "iron-cage users list"',
  )
  expect(await slip(viewer, 'requests', 'create', '1', '--user', 'ada', '--reason', 'more')).toContain(
    'hint: an admin creates it with "iron-cage budget set --user ada <usd>"',
  )
  expect(await slip(viewer, 'budget', 'set', '--org', '9')).toContain('hint: ask an admin;')
  expect(await slip(admin, 'policy', 'set', 'nofile.yaml')).toMatch(
    /the policy is wrong\n {2}nofile\.yaml: no such file\n {2}hint: correct the file, or name another one/,
  )
  const asked = JSON.parse((await as(viewer, 'requests', 'create', '1', '--reason', 'more', '--json')).out) as {
    id: string
  }
  await as(admin, 'requests', 'approve', asked.id, '--reason', 'agreed')
  expect(await slip(admin, 'requests', 'approve', asked.id, '--reason', 'agreed')).toContain(
    'hint: see "iron-cage requests list"',
  )

  await as(admin, 'tokens', 'generate', '--name', 'notebook', '--budget', '2')
  expect((await as(admin, 'tokens', 'list')).out).toMatch(/notebook +agent/)

  await as(admin, 'users', 'add', 'grace', '--role', 'viewer', '--email', 'grace@example.com')
  expect(await slip(admin, 'users', 'email', 'grace', '--remove')).toMatch(
    /grace has no password, and could not sign in without an address\n(.*\n)* {2}hint: set a password first/,
  )
  expect(await slip(admin, 'users', 'email', 'grace')).toContain('give the new address, or --remove')
  await place.type(['users', 'passwd', 'grace'], {
    env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: admin },
    stdin: 'correct horse',
  })
  expect(await slip(admin, 'users', 'email', 'grace', '--remove')).toBe('grace has no address and must sign in again\n')
  const people = JSON.parse((await as(admin, 'users', 'list', '--json')).out) as { username: string; email: unknown }[]
  expect(people.find(({ username }) => username === 'grace')!.email).toBe(null)

  const invite = async () => (await as(admin, 'runtimes', 'invite')).out.trim()
  const first = await place.type(['join', url, '--token', await invite()])
  expect(first).toMatchObject({ code: 0, err: expect.stringContaining('choose another name with --name') })
  const name = /as "(.+)" /.exec(first.out)![1]!
  const post = async <Answer>(token: string, path: string, body: object) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    return (await (await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })).json()) as Answer
  }
  type Joined = { runtime_id: string; token: string; name: string }
  const second = await post<Joined>(await invite(), '/api/runtimes/join', { name, version: '0.3.0' })
  expect(second.name).toBe(`${name}-2`)
  await as(admin, 'budget', 'set', '--org', '5')
  const { epoch } = await post<{ epoch: number }>(second.token, '/api/leases/open', { journal_id: 'j' })
  const amounts = { least_usd: '1', want_usd: '1' }
  const lease = await post<{ id: string }>(second.token, '/api/leases/request', { epoch, request: 0, ...amounts })
  const listed = await place.type(['runtimes', 'list'], {
    env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: admin },
    columns: 80,
  })
  for (const line of listed.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  expect(listed.out).toMatch(new RegExp(`^${second.runtime_id} .*${second.name}`, 'm'))
  const revoked = await as(admin, 'runtimes', 'revoke', second.runtime_id)
  expect(revoked.err).toContain('$1.00 stays lent to it. When its leases have expired')
  expect(revoked.err).toContain(`iron-cage runtimes resolve ${lease.id} --spent`)

  panel.child.kill('SIGTERM')
  await panel.ended
  const again = place.start(['panel', '--port', '0'])
  await again.shows('IRON_CAGE_URL')
  again.child.kill('SIGTERM')
  const { out } = await again.ended
  expect(out).toContain('iron-cage login')
  expect(out).not.toMatch(/budget set|runtimes invite/)
})
