/** People, tokens and logins on the command line: on the database file, at a server on this machine, and at one elsewhere. */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { AgentId } from '../../src/core/ids.ts'
import { freePort } from '../support/free-port.ts'
import { openPlace, type Place } from './support.ts'

const password = 'correct horse battery'

const serve = async (place: Place) => {
  const run = place.start(['serve', '--port', '0'])
  await run.shows(/http:\/\/localhost:\d+/)
  return { run, url: /http:\/\/localhost:\d+/.exec(run.out)![0] }
}

const signIn = (url: string, username: string, secret = password) =>
  fetch(`${url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password: secret }),
  })

const saved = (place: Place) => readFileSync(join(place.folder, '.iron/tokens'), 'utf8')

describe('users', () => {
  test('users are kept in the database file while no server runs, which is made when there is none', async () => {
    const place = openPlace()
    const added = await place.type(['users', 'add', 'Alice', '--role', 'admin'], { stdin: `${password}\n` })
    expect(added).toMatchObject({ code: 0, out: '', err: 'created user alice (role: admin)\n' })
    place.write('password.txt', `${password}\n`)
    expect((await place.type(['users', 'add', 'bob', '--from-file', 'password.txt'])).code).toBe(0)
    const listed = await place.type(['users', 'list'])
    expect(listed.out).toMatch(/^USER {3}ROLE {4}CREATED\nalice {2}admin {3}20\S+\nbob {4}viewer {2}20\S+\n$/)
    expect((await place.type(['users', 'role', 'alice', 'viewer'])).code).toBe(0)
    expect((await place.type(['users', 'remove', 'bob'])).err).toBe('bob was removed\n')
    const { out } = await place.type(['users', 'list', '--json'])
    expect(JSON.parse(out)).toMatchObject([{ username: 'alice', role: 'viewer' }])
    expect(out).not.toContain('argon')
    // Who did it is in the audit of the file.
    expect((await place.type(['audit', 'verify'])).code).toBe(0)
    const { url } = await serve(place)
    expect((await signIn(url, 'alice')).status).toBe(200)
    expect((await signIn(url, 'bob')).status).toBe(401)
  })

  test.each([
    [['users', 'add', 'alice'], '1234567\n', 2, 'expected a password of 8 to 256 characters, got 7'],
    [['users', 'add', 'alice'], '', 2, 'got 0'],
    [['users', 'add', 'operator'], `${password}\n`, 2, 'a user cannot be called "operator"'],
    [['users', 'add', 'a@b.example'], `${password}\n`, 2, 'the name contains personal data'],
    [['users', 'add', 'alice', '--password', password], '', 2, 'unknown argument: password'],
    [['users', 'add', 'alice', '--role', 'owner'], '', 2, '--role is "owner"; expected one of "admin", "viewer"'],
    [['users', 'add', 'alice', '--from-file', 'nothing.txt'], '', 2, 'cannot read nothing.txt'],
    [['users', 'add', 'alice', '--email', 'a@b.example'], '', 2, 'for one on a Control Panel set IRON_CAGE_URL to it'],
    [['users', 'remove', 'alice'], '', 7, 'no server is running'],
  ])('a wrong users command %j fails with the reason', async (args, stdin, code, word) => {
    const place = openPlace()
    const ended = await place.type(args, { stdin })
    expect([ended.code, ended.out]).toEqual([code, ''])
    expect(ended.err).toContain(word)
    expect(ended.err).not.toContain('1234567\n')
  })

  test('the users commands change the users of the running server, and its state prevails over the file', async () => {
    const place = openPlace()
    const { url } = await serve(place)
    expect((await place.type(['users', 'add', 'alice'], { stdin: password })).code).toBe(0)
    expect((await place.type(['users', 'add', 'ALICE'], { stdin: password })).code).toBe(6)
    const email = await place.type(['users', 'email', 'alice', 'a@b.example'])
    expect([email.code, email.err]).toEqual([
      2,
      expect.stringContaining('for one on a Control Panel set IRON_CAGE_URL'),
    ])
    const { access_token } = (await (await signIn(url, 'alice')).json()) as { access_token: string }
    const me = () => fetch(`${url}/api/auth/me`, { headers: { authorization: `Bearer ${access_token}` } })
    expect((await me()).status).toBe(200)
    const changed = await place.type(['users', 'passwd', 'alice'], { stdin: 'another good one' })
    expect(changed.err).toBe('alice has a new password and must sign in again\n')
    expect((await me()).status).toBe(401)
    expect((await signIn(url, 'alice')).status).toBe(401)
    expect((await signIn(url, 'alice', 'another good one')).status).toBe(200)
  })

  test('users have their password typed twice, without echo', async () => {
    const place = openPlace()
    const type = (first: string, second: string) =>
      place.run(['users', 'add', 'alice'], {
        typed: [
          ['(hidden):', `${first}\r`],
          ['Repeat it:', `${second}\r`],
        ],
      })
    const { out } = await type(`wrong\u007f\u007f\u007f\u007f\u007f${password}`, password)
    expect(out).toContain('Password (hidden):')
    expect(out).toContain('created user alice (role: viewer)')
    expect(out).not.toContain('horse')
    expect((await type(password, 'something else')).out).toContain('the two inputs differ')
  })
})

describe('tokens create', () => {
  test('--role viewer makes a token that reads the API and has no budget', async () => {
    const place = openPlace()
    const { url } = await serve(place)
    const made = await place.type(['tokens', 'create', '--name', 'prometheus', '--role', 'viewer'])
    expect(made.err).toContain('its role is viewer')
    const authorization = `Bearer ${made.out.trim()}`
    expect((await fetch(`${url}/metrics`, { headers: { authorization } })).status).toBe(200)
    const status = await place.type(['status'], { env: { IRON_CAGE_URL: url, IRON_CAGE_TOKEN: made.out.trim() } })
    expect(status).toMatchObject({ code: 0, out: expect.stringMatching(/^server {2}http.*\n$/) })
    const refused = await place.type(['tokens', 'create', '--role', 'admin', '--budget', '5'])
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('only a token of the role agent') })
  })
})

describe('login', () => {
  const env = (url: string) => ({ IRON_CAGE_URL: url })

  test('a login is saved for this user only, and commands act as that user on that server', async () => {
    const [place, elsewhere] = [openPlace(), openPlace()]
    const { url } = await serve(place)
    await place.type(['users', 'add', 'alice', '--role', 'admin'], { stdin: password })
    await place.type(['users', 'add', 'bob'], { stdin: password })
    expect((await elsewhere.type(['ps'], { env: env(url) })).code).toBe(4)

    const login = await elsewhere.type(['login', 'alice'], { stdin: `${password}\n`, env: env(url) })
    expect(login).toMatchObject({ code: 0, out: '' })
    expect(login.err).toContain(`signed in as alice (admin)`)
    expect(statSync(join(elsewhere.folder, '.iron/tokens')).mode & 0o777).toBe(0o600)
    expect(saved(elsewhere)).not.toContain(password)
    const made = await elsewhere.type(['tokens', 'create', '--name', 'pad', '--json'], { env: env(url) })
    expect(JSON.parse(made.out)).toMatchObject({ name: 'pad', created_by: 'alice' })

    await elsewhere.type(['login', 'bob'], { stdin: password, env: env(url) })
    expect((await elsewhere.type(['ps'], { env: env(url) })).code).toBe(0)
    expect((await elsewhere.type(['tokens', 'list'], { env: env(url) })).code).toBe(4)
    // One login a server; the token of before is still there.
    const lines = saved(elsewhere).trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual(['pad', 'bob'])
  })

  test('a login is renewed when its access token ends, also by several commands at once, and is gone when it has ended', async () => {
    const place = openPlace()
    const { url } = await serve(place)
    await place.type(['users', 'add', 'alice', '--role', 'admin'], { stdin: password })
    await place.type(['login', 'alice'], { stdin: password, env: env(url) })
    const before = JSON.parse(saved(place)) as { refresh_token: string }
    writeFileSync(
      join(place.folder, '.iron/tokens'),
      JSON.stringify({ ...before, ends_at: '2020-01-01T00:00:00.000Z' }),
    )
    const ends = await Promise.all([1, 2, 3].map(() => place.run(['ps'], { env: env(url) })))
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0])
    expect((JSON.parse(saved(place)) as { refresh_token: string }).refresh_token).not.toBe(before.refresh_token)
    expect(existsSync(join(place.folder, '.iron/tokens.lock'))).toBe(false)

    await place.type(['users', 'remove', 'alice'])
    writeFileSync(
      join(place.folder, '.iron/tokens'),
      JSON.stringify({ ...(JSON.parse(saved(place)) as object), ends_at: '2020-01-01T00:00:00.000Z' }),
    )
    const last = await place.type(['ps'], { env: env(url) })
    expect(last.code).toBe(4)
    expect(last.err).toContain('the login of alice at')
    expect(last.err).toContain('iron-cage login')
    expect(saved(place)).toBe('')
  })

  test('a login fails with a reason for a wrong password, no password and an unreachable server', async () => {
    const place = openPlace()
    const { url } = await serve(place)
    await place.type(['users', 'add', 'alice'], { stdin: password })
    const wrong = await place.type(['login', 'alice'], { stdin: 'wrong horse', env: env(url) })
    expect([wrong.code, wrong.err]).toEqual([4, expect.stringContaining('wrong user name or password')])
    expect((await place.type(['login', 'alice'], { env: env(url) })).code).toBe(2)
    const free = `http://127.0.0.1:${await freePort()}`
    const nowhere = await place.type(['login', 'alice'], { stdin: password, env: env(free) })
    expect([nowhere.code, nowhere.err]).toEqual([7, expect.stringContaining('ECONNREFUSED')])
    expect(existsSync(join(place.folder, '.iron/tokens')) && saved(place)).toBeFalsy()
  })
})

describe('tokens', () => {
  test('tokens are made, replaced and ended in the database file while no server runs', async () => {
    const place = openPlace()
    await place.type(['users', 'add', 'alice'], { stdin: password })
    const generated = await place.type(['token', 'generate', '--budget', '100'])
    expect(generated.out).toMatch(/^ic_[\w-]{43}\n$/)
    const [first] = JSON.parse((await place.type(['tokens', 'list', '--json'])).out) as {
      id: string
      expires_at: null
    }[]
    expect(first?.expires_at).toBeNull()
    const rotated = await place.type(['tokens', 'rotate', first!.id])
    expect(rotated.out).toMatch(/^ic_[\w-]{43}\n$/)
    expect(rotated.err).toContain(`${first!.id}, works for another 24 h`)
    const rows = JSON.parse((await place.type(['tokens', 'list', '--json'])).out) as {
      id: string
      agent_id: AgentId
      expires_at: string | null
    }[]
    expect(rows.map(({ agent_id }) => agent_id)).toEqual([rows[0]!.agent_id, rows[0]!.agent_id])
    const { url } = await serve(place)
    const works = (token: string) =>
      fetch(`${url}/api/run`, { headers: { authorization: `Bearer ${token.trim()}` } }).then(({ status }) => status)
    expect([await works(generated.out), await works(rotated.out)]).toEqual([200, 200])
    const cut = await place.type(['tokens', 'rotate', rows[1]!.id, '--overlap-hours', '0'])
    expect(cut.err).toContain('has ended')
    expect([await works(rotated.out), await works(cut.out)]).toEqual([401, 200])
    expect((await place.type(['tokens', 'rotate', 'token-1'])).code).toBe(5)
    expect((await place.type(['tokens', 'rotate', rows[1]!.id, '--overlap-hours', 'x'])).code).toBe(2)
  })
})

describe('a server', () => {
  test('a server is not opened to other machines without a user and a word of the operator', async () => {
    const place = openPlace()
    const ended = await place.run(['serve', '--port', '0', '--host', '0.0.0.0'])
    expect([ended.code, ended.out]).toEqual([2, ''])
    expect(ended.err).toContain('server.allow_remote: true (or --allow-remote)')
    expect(ended.err).toContain('iron-cage users add')
    await place.type(['users', 'add', 'alice'], { stdin: password })
    expect((await place.run(['serve', '--port', '0', '--host', '0.0.0.0'])).code).toBe(2)
    const run = place.start(['serve', '--port', '0', '--host', '0.0.0.0', '--allow-remote'])
    await run.shows(/http:\/\/localhost:\d+/)
  })

  test('a server that is sent SIGUSR1 goes on, and opens no debugger', async () => {
    const place = openPlace()
    const { run, url } = await serve(place)
    for (let signal = 0; signal < 3; signal++) run.child.kill('SIGUSR1')
    for (let look = 0; look < 5; look++) expect((await fetch(`${url}/api/health`)).status).toBe(200)
    run.child.kill('SIGTERM')
    const { err } = await run.ended
    expect(err).not.toContain('Debugger listening')
  })
})
