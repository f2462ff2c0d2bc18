/** `iron-cli-py` and `iron-cage` on one server: the same data, files and exit codes. */
import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Ended, openPlace, type Place } from './support.ts'

const root = resolve(import.meta.dirname, '../..')
const python = resolve(root, '.venv-test/bin/python')
const password = 'correct horse battery'

const run = async (
  place: Place,
  args: readonly string[],
  { stdin = '', env = {} }: { stdin?: string; env?: Record<string, string> } = {},
): Promise<Omit<Ended, 'signal'>> => {
  const child = spawn(python, ['-m', 'iron_cli', ...args], {
    cwd: place.folder,
    env: { PATH: process.env.PATH, HOME: place.folder, PYTHONPATH: join(root, 'python'), ...env },
  })
  child.stdin.end(stdin)
  const ended = new Promise<number | null>((done) => child.once('close', done))
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended])
  return { code, out, err }
}

describe('on a server', () => {
  let place: Place
  let url: string

  beforeEach(async () => {
    place = openPlace()
    await place.type(['users', 'add', 'alice', '--role', 'admin'], { stdin: password })
    const server = place.start(['serve', '--port', '0'])
    await server.shows(/http:\/\/localhost:\d+/)
    url = /http:\/\/localhost:\d+/.exec(server.out)![0]
  })

  /** The JSON that both commands print, which is the same. */
  async function same(ours: readonly string[], theirs: readonly string[], env = {}): Promise<unknown> {
    const [first, second] = [await place.type([...ours], { env }), await run(place, theirs, { env })]
    expect(second.err, second.err).toBe('')
    expect(JSON.parse(second.out)).toEqual(JSON.parse(first.out))
    return JSON.parse(second.out)
  }

  test('both command lines show the same tokens, agents, budgets and usage, no matter which of them changed a value', async () => {
    expect((await place.type(['tokens', 'create', '--name', 'ours', '--budget', '20'])).code).toBe(0)
    const made = await run(place, ['token', 'generate', '--name', 'theirs', '--budget', '5', '--days', '30', '--json'])
    expect(JSON.parse(made.out)).toMatchObject({ name: 'theirs', role: 'agent', token: expect.stringMatching(/^ic_/) })
    const tokens = (await same(['tokens', 'list', '--json'], ['token', 'list', '--json'])) as {
      id: string
      agent_id: string
    }[]
    expect(tokens).toHaveLength(2)
    const mine = tokens.find(({ id }) => id === JSON.parse(made.out).id)!

    expect((await run(place, ['budget', 'add', mine.agent_id, '2.50'])).code).toBe(0)
    const balance = ['budget', 'get', mine.agent_id, '--json']
    expect(await same(balance, balance)).toMatchObject({ limit_usd: '7.5', spent_usd: '0' })
    await same(['report', '--format', 'json'], ['usage', '--json'])
    const report = await place.type(['report', mine.agent_id, '--format', 'json'])
    const usage = await run(place, ['usage', mine.agent_id, '--json'])
    expect(JSON.parse(usage.out)).toEqual(JSON.parse(report.out).costs)
    const agents = await run(place, ['agents', '--json'])
    expect(
      JSON.parse(agents.out)
        .map(({ name }: { name: string }) => name)
        .sort(),
    ).toEqual(['ours', 'theirs'])

    const rotated = await run(place, ['token', 'rotate', mine.id, '--overlap-hours', '0', '--json'])
    expect(rotated.code).toBe(0)
    expect(await run(place, ['token', 'revoke', JSON.parse(rotated.out).id])).toMatchObject({ code: 0, out: '' })
    await same(['tokens', 'list', '--json'], ['token', 'list', '--json'])

    // Every value that was shown is in the one file.
    const lines = readFileSync(join(place.folder, '.iron/tokens'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.map(({ name }) => name)).toEqual(['ours', 'theirs', 'theirs'])
    expect(statSync(join(place.folder, '.iron/tokens')).mode & 0o777).toBe(0o600)
  })

  test.each(['IRON_CAGE_URL', 'IRON_API_URL'])('a login of either at %s is a login of both', async (name) => {
    const env = { [name]: url }
    expect(await run(place, ['login', 'alice'], { stdin: `${password}\n`, env })).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('signed in as alice (admin)'),
    })
    await same(['tokens', 'list', '--json'], ['token', 'list', '--json'], env)
    expect((await place.type(['login', 'alice'], { stdin: password, env })).code).toBe(0)
    expect((await run(place, ['health', '--json'], { env })).out).toContain(`"url": "${url}"`)
    await same(['tokens', 'list', '--json'], ['token', 'list', '--json'], env)
  })

  test('both command lines refuse the same input with the same exit code', async () => {
    const token = (await place.type(['tokens', 'create', '--role', 'admin'])).out.trim()
    for (const [theirs, ours] of [
      [
        ['token', 'revoke', 'nobody'],
        ['tokens', 'revoke', 'nobody'],
      ],
      [
        ['budget', 'add', 'nobody', '5'],
        ['budget', 'add', 'nobody', '5'],
      ],
      [
        ['token', 'generate', '--role', 'owner'],
        ['tokens', 'create', '--role', 'owner'],
      ],
      [
        ['token', 'generate', '--budget', 'much'],
        ['tokens', 'create', '--budget', 'much'],
      ],
      [
        ['login', 'alice'],
        ['login', 'alice'],
      ],
    ] as const) {
      const options = { stdin: 'wrong', env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: token } }
      const [second, first] = [await run(place, theirs, options), await place.type(ours, options)]
      expect([theirs, second.code]).toEqual([theirs, first.code])
      expect([second.code === 0, second.out]).toEqual([false, ''])
      expect(second.err).not.toContain('Traceback')
    }
  })
})

test('without a server both try three times, and end with 7', async () => {
  const place = openPlace()
  const env = { IRON_CAGE_URL: `http://127.0.0.1:${await freePort()}` }
  for (const ended of [
    await run(place, ['agents'], { env }),
    await run(place, ['health'], { env }),
    await place.type(['ps'], { env }),
  ]) {
    expect(ended).toMatchObject({ code: 7, out: '', err: expect.stringContaining('tried 3 times') })
  }
})
