import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { processStarted } from '../../src/core/process-table.ts'
import { FakeProvider } from '../support/provider.ts'
import { openPlace, type Place, type Run } from './support.ts'

/** Tiny agents; on Node because it is there for sure. */
const AGENTS = {
  'exit_42.mjs': `console.log('arguments', JSON.stringify(process.argv.slice(2))); process.exitCode = 42`,
  'forever.mjs': `setInterval(() => {}, 1000); console.log('working')`,
  'tidy.mjs': `setInterval(() => {}, 1000); process.on('SIGINT', () => process.exit(0)); console.log('working')`,
  'stubborn.mjs': `setInterval(() => {}, 1000); for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {}); console.log('working', process.pid)`,
  'chatty.mjs': `setInterval(() => console.log('x'.repeat(1000)), 2)`,
  'leak.mjs': `console.log('write to ceo@acme.com')`,
}
type Agent = keyof typeof AGENTS

/** Keeps how often it has begun, and spends a dollar. */
const SPEND = `import iron_cage
begun = iron_cage.restore(0)
iron_cage.checkpoint(begun + 1)
print('goes on at', begun, flush=True)
iron_cage.record_cost('work', 1)
import time
time.sleep(3600)
`

const PYTHON = resolve(import.meta.dirname, '../../.venv-test/bin/python')
/** Asks with the package of OpenAI, which finds address and key by itself. */
const ASK = `import openai, os
assert os.environ['OPENAI_AGENTS_DISABLE_TRACING'] == '1'
reply = openai.OpenAI().chat.completions.create(model='gpt-4o', max_tokens=9, messages=[{'role': 'user', 'content': 'Hi'}])
print('asked gpt-4o:', reply.choices[0].message.content)
`

function prepare(): Place {
  const place = openPlace()
  for (const [name, content] of Object.entries(AGENTS)) place.write(name, content)
  return place
}

const startAgent = (place: Place, agent: Agent, ...more: string[]): Run =>
  place.start(['start', agent, '--port', '0', '--no-restart', ...more])

const agentId = (run: Run): string => /Agent +(\S+)/.exec(run.out)![1]!

/** The line an agent printed, as events show it. */
const printed = (line: string) => new RegExp(`^\\[\\d\\d:\\d\\d:\\d\\d\\] INFO  ${line}`, 'm')

describe('start', () => {
  test("start exits with the agent's own code, after a block and the agent's lines", async () => {
    const place = prepare()
    const { code, out, err } = await startAgent(place, 'exit_42.mjs', '--budget', '$50', '--', '--leads', '007').ended
    expect({ code, err }).toEqual({ code: 42, err: '' })
    expect(out).toMatch(/^Iron Cage \d+\.\d+\.\d+\n {2}├─ Script +exit_42\.mjs\n {2}├─ Agent +e4-[0-9a-f]{8}\n/)
    expect(out).toMatch(/├─ Budget +\$50\.00 hard limit \(from --budget\)\n/)
    expect(out).toMatch(/├─ Not guarded +prompt injection: not monitored\n/)
    expect(out.match(/http:\/\/localhost:\d+\/#code=\S+/g)).toHaveLength(1)
    expect(out).toMatch(printed('arguments \\["--leads","007"\\]'))
    expect(out).toMatch(/ERROR exit_42 failed: exit code 42/)
  })

  test('start marks the limit as the default one', async () => {
    const { out } = await startAgent(prepare(), 'exit_42.mjs').ended
    expect(out).toContain('$100.00 hard limit (the default; choose one with --budget)')
  })

  test('start lists the providers with a key, and for the others how to set one', async () => {
    const place = prepare()
    await place.type(['keygen', '--out', 'master.key'])
    const env = { IRON_CAGE_MASTER_KEY_FILE: 'master.key', OPENAI_API_KEY: 'sk-canary-7f3a9c2d41b8-end' }
    const keys = async (given: Record<string, string>) => {
      const { out } = await place.run(['start', 'exit_42.mjs', '--port', '0', '--no-restart'], { env: given })
      expect(out).not.toContain('sk-canary')
      return /├─ Keys +(.+)/.exec(out)![1]
    }
    expect(await keys({})).toBe(
      'none, so calls will fail: export OPENAI_API_KEY or ANTHROPIC_API_KEY or GEMINI_API_KEY, or type "iron-cage secrets set OPENAI_API_KEY"',
    )
    expect(await keys(env)).toBe(
      'openai from the environment, anthropic: not set (optional), google: not set (optional)',
    )
    await place.type(['secrets', 'set', 'ANTHROPIC_API_KEY'], { env, stdin: 'sk-canary-7f3a9c2d41b8-two' })
    const all = { ...env, GEMINI_API_KEY: 'sk-canary-7f3a9c2d41b8-3rd' }
    expect(await keys(all)).toBe('openai from the environment, anthropic from the vault, google from the environment')
    expect(await keys({ ...all, IRON_CAGE_MASTER_KEY_FILE: '' })).toBe(
      'openai from the environment, anthropic in the vault, which is locked, google from the environment',
    )
  })

  test('start keeps the provider address of the environment and prints it; reports include its tags', async () => {
    await using provider = await FakeProvider.open()
    const place = prepare()
    place.write('agent.py', ASK)
    const address = `${provider.url}/mine/v1`
    const env = { OPENAI_BASE_URL: address, OPENAI_API_KEY: 'sk-own', GROQ_API_KEY: 'gsk-none' }
    const tags = ['--tag', 'customer=acme,project=search']
    const { code, out } = await place.run(['start', 'agent.py', '--port', '0', '--python', PYTHON, ...tags], { env })
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('asked gpt-4o: Hello.') })
    expect(provider.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/mine/v1/chat/completions', 'Bearer sk-own'],
    ])
    expect(out).toContain(`Address        openai at ${address} (from OPENAI_BASE_URL)\n`)
    expect(out).toContain('calls with GROQ_API_KEY: no provider of the configuration uses this key')
    expect(out).not.toContain('gsk-none')
    expect(out).toMatch(/Calls +1 completed, 0 failed\n/)
    expect(out).toContain('Tags           customer=acme, project=search\n')
    const report = await place.type(['report'])
    expect(report.out).toMatch(/BY TAG ─+\n {2}customer=acme +1 call {2}(\$[\d.]+)\n {2}project=search +1 call {2}\1\n/)
  })

  test('start prints at the end how to see the report, also of a database elsewhere', async () => {
    const place = prepare()
    const run = startAgent(place, 'exit_42.mjs', '--db', 'other.db')
    const { out } = await run.ended
    const id = agentId(run)
    const again = 'iron-cage start exit_42.mjs --port 0 --no-restart --db other.db'
    expect(out).toContain(
      [
        `${id} has ended`,
        '  ├─ Why        exit code 42; restarts are off',
        '  ├─ Cost       $0.00 of $100.00',
        '  ├─ Calls      0 completed, 0 failed',
        '  ├─ Findings   none',
        `  ├─ Report     iron-cage report ${id} --db other.db`,
        `  ├─ Continue   ${again} (from its last checkpoint, if it saved any)`,
        '  └─ Dashboard  iron-cage open --db other.db (with "start --keep" it stays open)\n',
      ].join('\n'),
    )
    expect((await place.type(['report', id, '--db', 'other.db'])).out).toContain(`FINAL REPORT · ${id}`)
    const read = async (...words: string[]) => (await place.type([...words, '--db', 'other.db'])).out
    expect(await read('ps')).toMatch(/exit_42 +failed/)
    expect(await read('logs', id)).toContain('exit_42 failed: exit code 42')
    expect((await place.run(['logs', id, '-f', '--db', 'other.db'])).out).toContain('exit_42 failed: exit code 42')
    expect(await read('status')).toMatch(/^server {2}none runs on other\.db: this is what the file holds\n/)
  })

  test('an agent stopped by its budget prints how to continue, for a running and for an ended server', async () => {
    const place = prepare()
    place.write('spend.py', SPEND)
    const spend = (...more: string[]) => place.start(['start', 'spend.py', '--port', '0', '--budget', '1', ...more])
    const kept = spend('--keep')
    await kept.shows(/ has ended\n.*Cost.*\n.*Calls.*\n.*Findings.*\n.*Report.*\n.*Continue.*\n.*Dashboard/)
    const id = agentId(kept)
    expect(kept.out).toContain('Cost       $1.00 of $1.00\n')
    expect(kept.out).toContain(`Continue   iron-cage resume ${id} --add 0.5\n`)
    expect(kept.out.match(/\/#code=\S+/g)).toHaveLength(2)
    expect(await place.type(['resume', id])).toMatchObject({
      code: 3,
      err: expect.stringContaining(`hint: raise it: "iron-cage resume ${id} --add <usd>"`),
    })
    expect(await place.type(['resume', id, '--add', '0'])).toMatchObject({ code: 2 })
    expect(await place.type(['restart', id])).toMatchObject({ code: 3 })
    expect(await place.type(['resume', id, '--add', '0.5'])).toMatchObject({ code: 0 })
    await kept.shows('goes on at 1')
    kept.child.kill('SIGTERM')
    await kept.ended

    const { code, out } = await spend().ended
    expect(code).toBe(3)
    expect(out).toContain('goes on at 2')
    expect(out).toContain(
      '├─ Continue   iron-cage start spend.py --port 0 --budget 1 (a new budget, from its last checkpoint;',
    )
  })

  test('start never shows personal data the agent prints, neither live nor in the log', async () => {
    const place = prepare()
    const { out } = await startAgent(place, 'leak.mjs', '--log-format', 'json', '--verbose').ended
    expect(out).toContain('write to [EMAIL_REDACTED]')
    expect(out).not.toContain('ceo@acme.com')
  })

  test('start prints nothing but JSON lines with --log-format json', async () => {
    const { out, err } = await startAgent(prepare(), 'exit_42.mjs', '--log-format', 'json').ended
    const types = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type)
    expect(types).toEqual(['agent.started', 'agent.output', 'agent.exited', 'server.stopped'])
    expect(err).toContain('#code=')
  })

  test('a signal stops the agent in order, and its code counts', async () => {
    const run = startAgent(prepare(), 'tidy.mjs')
    await run.shows(printed('working'))
    run.child.kill('SIGINT')
    const { code, err, out } = await run.ended
    expect(code).toBe(0)
    expect(err).toBe('Stopping… press Ctrl-C again to force\n')
    expect(out).toMatch(/Server stopped: SIGINT\n$/)
  })

  test('an agent that ends by the signal is 128 + its number', async () => {
    const run = startAgent(prepare(), 'forever.mjs')
    await run.shows(printed('working'))
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 130 })
  })

  test('a second signal does not wait for a stubborn agent, and leaves none behind', async () => {
    const place = prepare()
    place.write('iron-cage.yaml', 'agent: { stop_grace_s: 600 }\n')
    const run = startAgent(place, 'stubborn.mjs')
    await run.shows(printed('working'))
    const pid = Number(/working (\d+)/.exec(run.out)![1])
    run.child.kill('SIGINT')
    await run.shows('Stopping…', 'err')
    run.child.kill('SIGINT')
    expect(await run.ended).toMatchObject({ code: 130 })
    await expect.poll(() => processStarted(pid), { timeout: 60_000 }).toBeUndefined()
  })

  test('a reader that goes away ends it like a signal', async () => {
    const run = startAgent(prepare(), 'chatty.mjs')
    await run.shows(printed('xxx'))
    run.child.stdout.destroy()
    expect(await run.ended).toMatchObject({ code: 130, err: '' })
  })

  test('a stopped terminal blocks neither the server nor its end', async () => {
    const place = prepare()
    const run = place.start(['start', 'chatty.mjs', '--port', '0'], { onStoppedTerminal: true })
    // By now the log has more than a terminal takes.
    const log = join(place.folder, 'iron_logs')
    const files = () => (existsSync(log) ? readdirSync(log).map((name) => statSync(join(log, name))) : [])
    const size = () => files().reduce((sum, file) => sum + file.size, 0)
    await expect.poll(size, { timeout: 60_000 }).toBeGreaterThan(100_000)
    expect(await place.type(['ps'])).toMatchObject({ code: 0, out: expect.stringContaining('running') })
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 130 })
  })

  test('--keep stays up after the agent has ended and keeps its code', async () => {
    const place = prepare()
    const run = startAgent(place, 'exit_42.mjs', '--keep')
    await run.shows('exit_42 failed')
    expect((await place.type(['ps'])).out).toMatch(/exit_42 +failed/)
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 42 })
  })

  test.each([
    ['a missing script', ['missing.py'], 127, 'missing.py does not exist'],
    ['a folder', ['.'], 126, 'is a directory'],
    ['a missing interpreter', ['agent.py', '--python', './no-python'], 127, 'no Python can be run: tried /'],
    ['a log folder that is a file', ['exit_42.mjs', '--config', 'bad-log.yaml'], 2, 'cannot write the log'],
    ['a database that is none', ['exit_42.mjs', '--db', 'exit_42.mjs'], 8, 'cannot use exit_42.mjs as a database'],
  ])('%s is one error with its exit code', async (_, args, code, what) => {
    const place = prepare()
    place.write('agent.py', '')
    place.write('bad-log.yaml', 'log: { dir: agent.py }\n')
    const ended = await place.run(['start', '--port', '0', ...args])
    expect(ended).toMatchObject({ code, out: '' })
    expect(ended.err).toMatch(/^iron-cage: /)
    expect(ended.err).toContain(what)
    expect(ended.err).toContain('\n  hint: ')
  })

  test('a second server on the database, or on the port, is refused and named', async () => {
    const place = prepare()
    const run = startAgent(place, 'forever.mjs')
    await run.shows(printed('working'))
    const port = /localhost:(\d+)/.exec(run.out)![1]!
    const second = await place.run(['serve', '--port', '0'])
    expect(second).toMatchObject({ code: 6, out: '' })
    expect(second.err).toContain(`process ${run.child.pid}`)
    const third = await place.run(['serve', '--port', port, '--db', 'other.db'])
    expect(third).toMatchObject({ code: 6, out: '' })
    expect(third.err).toContain(`127.0.0.1:${port} is taken`)
  })
})

test('serve shows the dashboard link and ends on a signal with 0', async () => {
  const run = openPlace().start(['serve', '--port', '0'])
  await run.shows('#code=')
  run.child.kill('SIGTERM')
  expect(await run.ended).toMatchObject({ code: 0 })
})

test('an unexpected error ends the server with one line, and the log has the rest', async () => {
  const place = openPlace()
  const fault = 'process.on("SIGUSR2", () => { throw new TypeError("boom") })'
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(fault)}` }
  const run = place.start(['serve', '--port', '0'], { env })
  await run.shows('#code=')
  run.child.kill('SIGUSR2')
  const { code, err, out } = await run.ended
  const log = /Log +(\S+)/.exec(out)![1]!
  expect({ code, err }).toEqual({
    code: 1,
    err: `iron-cage: something went wrong inside Iron Cage\n  why: boom\n  log: ${log}\n  hint: check the log and report it\n`,
  })
  expect(readFileSync(join(place.folder, log), 'utf8')).toMatch(/"error":"TypeError: boom\\n +at /)
})

test('serve goes on without those who read its messages, and an error ends it all the same', async () => {
  const fault =
    'process.on("SIGUSR2", () => { process.stderr.write("a warning\\n") }); ' +
    'process.on("SIGHUP", () => { throw new TypeError("boom") })'
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(fault)}` }
  const run = openPlace().start(['serve', '--port', '0'], { env })
  await run.shows('#code=')
  const health = `${/http:\/\/\S+(?=\/#code=)/.exec(run.out)![0]}/api/health`
  run.child.stderr.destroy()
  for (let warning = 0; warning < 3; warning++) {
    run.child.kill('SIGUSR2')
    expect((await fetch(health)).status).toBe(200)
  }
  run.child.kill('SIGHUP')
  expect(await run.ended).toMatchObject({ code: 1 })
})

test('the commands of a running server report and change the state of the agent', async () => {
  const place = prepare()
  const run = startAgent(place, 'forever.mjs', '--name', 'worker', '--keep')
  await run.shows(printed('working'))
  const id = agentId(run)

  expect((await place.type(['ps'])).out).toMatch(
    new RegExp(`^ID +NAME +STATE +PID +BUDGET +PROGRESS\n${id} +worker +running +\\d+ +\\$0\\.00 / \\$100\\.00 +-\n$`),
  )
  expect(JSON.parse((await place.type(['ps', '--json'])).out)).toMatchObject([{ id, name: 'worker', state: 'running' }])
  expect((await place.type(['status', 'worker'])).out).toContain('budget   $0.00 / $100.00, 0.0% used')
  expect(JSON.parse((await place.type(['status', '--json'])).out)).toMatchObject({
    agents: [{ agent: { id }, figures: { spent: '$0.00 / $100.00' } }],
    circuits: [],
  })
  expect((await place.type(['logs', id.slice(0, 6)])).out).toMatch(printed('working'))

  expect(await place.type(['budget', 'add', id, '25'])).toMatchObject({
    code: 0,
    out: `${id}  $0.00 / $125.00, $125.00 left\n`,
  })
  expect(await place.type(['pause', 'worker'])).toMatchObject({ code: 0, out: `${id}  paused\n` })
  expect(await place.type(['resume', id])).toMatchObject({ code: 0, out: `${id}  running\n` })
  expect(await place.type(['stop', 'nobody'])).toMatchObject({
    code: 5,
    out: '',
    err: expect.stringMatching(
      /^iron-cage: there is no agent "nobody"\n {2}request: req-\w+\n {2}hint: list agents with "iron-cage ps"\n$/,
    ),
  })

  const follow = place.start(['logs', id, '-f', '--json'])
  await follow.shows('"type":"agent.resumed"')
  expect(await place.type(['stop', id])).toMatchObject({ code: 0, out: `${id}  stopped\n` })
  const followed = await follow.ended
  expect(followed).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(followed.out.trim().split('\n').at(-1)!)).toMatchObject({
    type: 'agent.exited',
    data: { state: 'stopped' },
  })

  expect(await place.type(['restart', id])).toMatchObject({ code: 0, out: expect.stringMatching(`^${id}  `) })
  const second = place.start(['logs', id, '-f'])
  await second.shows(/working[\s\S]*working/)
  run.child.kill('SIGTERM')
  expect(await run.ended).toMatchObject({ code: 130 })
  expect(await second.ended).toMatchObject({ code: 0, err: '' })

  // No server has the database any more.
  expect(await place.type(['budget', 'get', id, '--json'])).toMatchObject({
    out: expect.stringContaining('"limit_usd": "125"'),
  })
  expect(await place.type(['budget', 'set', id, '7'])).toMatchObject({
    code: 0,
    out: `${id}  $0.00 / $7.00, $7.00 left\n`,
  })
  expect(await place.type(['budget', 'get', 'nobody'])).toMatchObject({ code: 5 })
  expect((await place.type(['report', 'worker'])).out).toContain(`FINAL REPORT · ${id}`)
  expect(await place.type(['ps'])).toMatchObject({ code: 0, out: expect.stringContaining('worker') })
  expect(await place.type(['stop', 'worker'])).toMatchObject({ code: 7 })
})

describe("the server's reply decides the exit code and the message of the command", () => {
  const refusal = (code: string) =>
    JSON.stringify({ error: { code, message: 'what', hint: 'do this', request_id: 'req-1' } })
  test.each([
    [402, refusal('budget_exceeded'), 3, 'iron-cage: what\n  request: req-1\n  hint: do this\n'],
    [401, refusal('unauthorized'), 4, 'iron-cage: what\n  request: req-1\n  hint: do this\n'],
    [503, refusal('database_unusable'), 8, 'iron-cage: what\n  request: req-1\n  hint: do this\n'],
    [409, refusal('of_next_year'), 6, 'iron-cage: what\n  request: req-1\n  hint: do this\n'],
    [200, '<html>', 7, /^iron-cage: what answers at http:\S+ is not Iron Cage \(status 200\)\n/],
    [502, 'Bad Gateway', 7, /^iron-cage: what answers at http:\S+ is not Iron Cage \(status 502\)\n/],
    [307, '', 7, /^iron-cage: what answers at http:\S+ is not Iron Cage \(status 307\)\n/],
  ])("the server's reply %i %s ends the command with exit code %i", async (status, body, code, err) => {
    const server = createServer((_, response) => response.writeHead(status, { location: '/elsewhere' }).end(body))
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const ended = await openPlace().type(['ps'], { env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: 't' } })
      expect(ended).toMatchObject({ code, out: '' })
      expect(ended.err).toMatch(err)
    } finally {
      server.close()
    }
  })
})
