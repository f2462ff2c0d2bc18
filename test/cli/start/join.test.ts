/** `start` while a server runs on the database: one server, several agents, each with its own terminal. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openPlace, type Place, type Run } from '../support.ts'

const AGENTS = {
  'forever.mjs': `setInterval(() => {}, 1000); console.log('working')`,
  'exit_7.mjs': `console.log('arguments', JSON.stringify(process.argv.slice(2))); process.exitCode = 7`,
  'until_told.mjs': `import { existsSync } from 'node:fs'
    console.log('working')
    const look = setInterval(() => existsSync('go') && process.exit(7), 50)`,
  'where.mjs': `console.log(JSON.stringify({ cwd: process.cwd(), color: process.env.COLOR,
    master: Object.keys(process.env).filter((name) => name.startsWith('IRON_CAGE_MASTER_KEY')) }))`,
}

function prepare(): Place {
  const place = openPlace()
  for (const [name, content] of Object.entries(AGENTS)) place.write(name, content)
  return place
}

const agentId = (run: Run): string => /Agent +(\S+)/.exec(run.out)![1]!

async function serve(place: Place): Promise<Run> {
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  return server
}

test("a second start runs its agent in the running server, shows its lines and exits with the agent's code", async () => {
  const place = prepare()
  await serve(place)
  const { code, out, err } = await place.run(['start', 'exit_7.mjs', '--no-restart', '--budget', '5', '--', '--n', '1'])
  expect({ code, err }).toEqual({ code: 7, err: '' })
  expect(out).toMatch(/^Iron Cage \S+, in the running server\n {2}├─ Script +exit_7\.mjs\n {2}├─ Agent +e7-/)
  expect(out).toMatch(/├─ Budget +\$5\.00 hard limit\n/)
  expect(out).toMatch(/INFO {2}arguments \["--n","1"\]/)
  expect(out).toMatch(/ERROR exit_7 failed: exit code 7/)
  expect(out).toMatch(
    / has ended\n.*Why.*\n.*Cost.*\n.*Calls.*\n.*Findings.*\n {2}├─ Report +iron-cage report e7-\S+\n {2}├─ Continue +iron-cage resume e7-\S+\n {2}└─ Dashboard +http:\S+#code=\S+\n$/,
  )
})

test('a flag that a running server cannot apply is reported as without effect', async () => {
  const place = prepare()
  const server = await serve(place)
  const [, url, port] = /(http:\/\/localhost:(\d+))\/#code=/.exec(server.out)!
  const startOn = (...flags: string[]) => place.run(['start', 'exit_7.mjs', '--no-restart', ...flags])
  expect(await startOn('--port', '1', '--allow-remote')).toMatchObject({
    code: 7,
    err: `--port 1 and --allow-remote have no effect: the agent runs in the server at ${url}, which has ./iron_state.db already; stop that one first, or choose another --db\n`,
  })
  expect(await startOn('--port', port!)).toMatchObject({ code: 7, err: '' })
})

test('Ctrl-C stops the agent of its terminal and no other; ps shows all of them', async () => {
  const place = prepare()
  const first = place.start(['start', 'forever.mjs', '--port', '0', '--name', 'first'])
  await first.shows(/INFO {2}working/)
  const second = place.start(['start', 'forever.mjs', '--name', 'second'])
  await second.shows(/INFO {2}working/)
  expect((await place.type(['ps'])).out).toMatch(/first +running[\s\S]*second +running/)
  second.child.kill('SIGINT')
  expect(await second.ended).toMatchObject({
    code: 130,
    err: 'Stopping… press Ctrl-C again to force\n',
  })
  expect(second.out).toMatch(/second stopped/)
  expect((await place.type(['ps'])).out).toMatch(/first +running[\s\S]*second +stopped/)
})

test("the server of a start that has ended stays until the agents of other terminals have, and keeps its agent's code", async () => {
  const place = prepare()
  const first = place.start(['start', 'forever.mjs', '--port', '0'])
  await first.shows(/INFO {2}working/)
  const second = place.start(['start', 'forever.mjs', '--name', 'second'])
  await second.shows(/INFO {2}working/)
  expect(await place.type(['stop', agentId(first)])).toMatchObject({ code: 0 })
  expect((await place.type(['ps'])).out).toMatch(/forever +stopped[\s\S]*second +running/)
  expect(await place.type(['stop', agentId(second)])).toMatchObject({ code: 0 })
  expect(await first.ended).toMatchObject({ code: 130 })
  expect(await second.ended).toMatchObject({ code: 130 })
})

test('the end of a server stops the agents of other terminals, whose commands exit with 130', async () => {
  const place = prepare()
  const server = await serve(place)
  const joined = place.start(['start', 'forever.mjs'])
  await joined.shows(/INFO {2}working/)
  server.child.kill('SIGTERM')
  expect(await server.ended).toMatchObject({ code: 0 })
  expect(await joined.ended).toMatchObject({ code: 130 })
})

test("an agent gets the caller's environment and folder, without the master key", async () => {
  const place = prepare()
  await serve(place)
  mkdirSync(join(place.folder, 'below'))
  place.write('below/iron-cage.yaml', `db: { path: ../iron_state.db }\nagent: { cwd: . }\n`)
  const env = { COLOR: 'blue', IRON_CAGE_MASTER_KEY: 'k', IRON_CAGE_MASTER_KEY_FILE: '/k' }
  const { code, out } = await place.run(['start', '../where.mjs', '--db', '../iron_state.db'], { env, folder: 'below' })
  expect(code).toBe(0)
  expect(out).toContain(`{"cwd":"${join(place.folder, 'below')}","color":"blue","master":[]}`)
})

test.each([
  ['a missing script', ['missing.py'], 127, 'missing.py does not exist'],
  ['another safety mode than the server has', ['forever.mjs', '--safety-mode', 'block'], 6, 'safety.mode "redact"'],
  ['a name with personal data', ['forever.mjs', '--name', 'ceo@acme.com'], 2, 'personal data'],
])('%s is refused with its exit code, and nothing runs', async (_, args, code, what) => {
  const place = prepare()
  await serve(place)
  const ended = await place.run(['start', ...args])
  expect(ended).toMatchObject({ code, out: '' })
  expect(ended.err).toContain(what)
  expect(JSON.parse((await place.type(['ps', '--json'])).out)).toEqual([])
})

test('two starts at once are one server with two agents', async () => {
  const place = prepare()
  const runs = ['one', 'two'].map((name) =>
    place.start(['start', 'until_told.mjs', '--no-restart', '--port', '0', '--name', name]),
  )
  // A terminal that shows the lines of several agents names them.
  for (const run of runs) await run.shows(/INFO {2}(\S+ · )?working/)
  const { out } = await place.type(['ps'])
  for (const name of ['one', 'two']) expect(out).toMatch(new RegExp(`${name} +running`))
  place.write('go', '')
  for (const { ended } of runs) expect(await ended).toMatchObject({ code: 7 })
})
