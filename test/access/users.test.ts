/** People with passwords: the stored password hash, the cost of a wrong password, the sessions that a change ends. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { Sessions } from '../../src/access/sessions.ts'
import { Users } from '../../src/access/users.ts'
import { openStore } from '../../src/db/store.ts'
import { TestClock } from '../support/clock.ts'

const MINUTE = 60_000
const password = 'correct horse battery'
const address = '127.0.0.1'

async function openUsers() {
  const clock = new TestClock()
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const users = new Users({ store, clock })
  const sessions = new Sessions({ store, clock, users, operatorToken: 'ic_x' })
  const alice = await users.add({ username: 'Alice', role: 'admin', password })
  return { clock, store, users, sessions, alice }
}

const wrong = { username: 'alice', password: 'wrong horse battery', address }
const right = { ...wrong, password }
const refused = { code: 'unauthorized', message: 'wrong user name or password' }

describe('a user', () => {
  test('a user is found by id and by name, in any case, also after a restart', async () => {
    const { users, alice, store, clock } = await openUsers()
    expect(alice).toMatchObject({ id: expect.stringMatching(/^user-[0-9a-f]{12}$/), username: 'alice', role: 'admin' })
    expect([users.get('ALICE'), users.get(alice.id)]).toEqual([alice, alice])
    const again = new Users({ store, clock })
    expect(again.list()).toEqual([alice])
    expect(await again.signIn(right)).toEqual(alice)
  })

  test('a user is stored with an Argon2id hash and its parameters, never with the password, and shown without either', async () => {
    const { store, users } = await openUsers()
    await users.add({ username: 'bob', role: 'viewer', password })
    const [alice, bob] = store.users.all()
    expect(alice?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(alice?.password_hash).not.toBe(bob?.password_hash)
    expect(JSON.stringify(store.users.all())).not.toContain(password)
    expect(JSON.stringify(users.list())).not.toMatch(/argon2|hash/)
  })

  test.each([
    '',
    'a b',
    'a@example.com',
    '-a',
    'x'.repeat(41),
    'operator',
    'OPERATOR',
    'user-1',
    'ålice',
    'a\n',
    'a/b',
  ])('a user cannot be called %j', async (username) => {
    const { users } = await openUsers()
    await expect(users.add({ username, role: 'viewer', password })).rejects.toMatchObject({ code: 'bad_request' })
    expect(users.count).toBe(1)
  })

  test.each(['', '1234567', 'x'.repeat(257)])('a user cannot have the password "%s"', async (tooBad) => {
    const { users } = await openUsers()
    const bob = users.add({ username: 'bob', role: 'viewer', password: tooBad })
    await expect(bob).rejects.toMatchObject({ code: 'bad_request', message: expect.not.stringContaining('1234567') })
    await expect(users.changePassword('alice', tooBad)).rejects.toMatchObject({ code: 'bad_request' })
    expect(await users.signIn(right)).toMatchObject({ username: 'alice' })
  })

  test('a user exists once when ten are created at once', async () => {
    const { users } = await openUsers()
    const ends = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        users.add({ username: index % 2 ? 'bob' : 'BOB', role: 'viewer', password }),
      ),
    )
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'conflict' } })
    expect(users.list().map(({ username }) => username)).toEqual(['alice', 'bob'])
  })

  test('a user may type the same characters in another Unicode form', async () => {
    const { users } = await openUsers()
    await users.add({ username: 'bob', role: 'viewer', password: 'Zürich Zürich' })
    const decomposed = { username: 'bob', password: 'Zürich Zürich'.normalize('NFD'), address }
    expect(await users.signIn(decomposed)).toMatchObject({ username: 'bob' })
  })

  test('a user that does not exist cannot be changed or removed', async () => {
    const { users } = await openUsers()
    const none = expect.objectContaining({ code: 'not_found' })
    for (const name of ['bob', '', 'constructor', 'user-000000000000']) {
      expect(() => users.remove(name)).toThrow(none)
      expect(() => users.changeRole(name, 'admin')).toThrow(none)
      await expect(users.changePassword(name, password)).rejects.toEqual(none)
    }
  })
})

describe('a sign-in', () => {
  test('a sign-in fails alike with a wrong password and with an unknown name', async () => {
    const { users } = await openUsers()
    await expect(users.signIn(wrong)).rejects.toMatchObject(refused)
    await expect(users.signIn({ ...right, username: 'nobody-here' })).rejects.toMatchObject(refused)
    await expect(users.signIn({ ...right, password: '' })).rejects.toMatchObject(refused)
    await expect(users.signIn({ ...right, username: 'constructor' })).rejects.toMatchObject(refused)
  })

  test.each(['alice', 'nobody-here'])(
    'a sign-in of %s waits longer with each failure, and not for ever',
    async (username) => {
      const { users, clock } = await openUsers()
      for (let failure = 0; failure < 5; failure++) {
        await expect(users.signIn({ ...wrong, username })).rejects.toMatchObject(refused)
      }
      for (const waitS of [1, 2, 4, 8, 16, 32, 60, 60]) {
        const early = { code: 'too_many_attempts', retryAfterS: waitS }
        // Not even the right password is looked at.
        await expect(users.signIn({ ...right, username })).rejects.toMatchObject(early)
        clock.advance(waitS * 1000)
        await expect(users.signIn({ ...wrong, username })).rejects.toMatchObject(refused)
      }
      clock.advance(15 * MINUTE)
      await expect(users.signIn({ ...wrong, username })).rejects.toMatchObject(refused)
      await expect(users.signIn({ ...wrong, username })).rejects.toMatchObject(refused)
    },
  )

  test('a sign-in that succeeds resets the failures of that name', async () => {
    const { users } = await openUsers()
    for (let round = 0; round < 3; round++) {
      for (let failure = 0; failure < 4; failure++) await expect(users.signIn(wrong)).rejects.toMatchObject(refused)
      expect(await users.signIn(right)).toMatchObject({ username: 'alice' })
    }
  })

  test('of a hundred sign-ins at once only five are tried', async () => {
    const { users } = await openUsers()
    const ends = await Promise.allSettled(Array.from({ length: 100 }, () => users.signIn(wrong)))
    const codes = ends.map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : 'in'))
    expect(codes.filter((code) => code === 'unauthorized')).toHaveLength(5)
    expect(codes.filter((code) => code === 'too_many_attempts')).toHaveLength(95)
  })

  test('a sign-in from one address under many names waits too, and people elsewhere do not', async () => {
    const { users } = await openUsers()
    const guess = (index: number) => users.signIn({ ...wrong, username: `name-${index}`, address: '10.0.0.9' })
    for (let index = 0; index < 20; index++) await expect(guess(index)).rejects.toMatchObject(refused)
    await expect(guess(20)).rejects.toMatchObject({ code: 'too_many_attempts' })
    await expect(users.signIn({ ...right, address: '10.0.0.9' })).rejects.toMatchObject({ code: 'too_many_attempts' })
    expect(await users.signIn(right)).toMatchObject({ username: 'alice' })
  })

  test('a right password from another address is accepted during a guessing attack', async () => {
    const { users } = await openUsers()
    for (let failure = 0; failure < 5; failure++) await expect(users.signIn(wrong)).rejects.toMatchObject(refused)
    await expect(users.signIn(right)).rejects.toMatchObject({ code: 'too_many_attempts' })
    expect(await users.signIn({ ...right, address: '10.0.0.7' })).toMatchObject({ username: 'alice' })
  })

  test('guesses at an address do not lock out a user who signed in from there before', async () => {
    const { users } = await openUsers()
    expect(await users.signIn(right)).toMatchObject({ username: 'alice' })
    for (let index = 0; index < 20; index++) {
      await expect(users.signIn({ ...wrong, username: `name-${index}` })).rejects.toMatchObject(refused)
    }
    await expect(users.signIn({ ...wrong, username: 'bob' })).rejects.toMatchObject({ code: 'too_many_attempts' })
    expect(await users.signIn(right)).toMatchObject({ username: 'alice' })
  })

  test.each([
    ['127.0.0.1', ['127.0.0.2', '::1', '::ffff:127.9.9.9', '127.255.0.1', '127.0.0.1']],
    ['2001:db8:0:1::1', ['2001:db8::1:ffff:0:0:1', '2001:db8:0:1::2', '2001:db8:0:1:2:3:4:5']],
  ])('a sign-in from %s has failed as often as from any address of the same source', async (first, others) => {
    const { users } = await openUsers()
    const addresses = [first, ...others]
    for (let failure = 0; failure < 5; failure++) {
      const attempt = { ...wrong, address: addresses[failure % addresses.length]! }
      await expect(users.signIn(attempt)).rejects.toMatchObject(refused)
    }
    for (const address of addresses) {
      await expect(users.signIn({ ...right, address })).rejects.toMatchObject({ code: 'too_many_attempts' })
    }
  })

  test('a sign-in in progress while the password changes fails', async () => {
    const { users } = await openUsers()
    const attempt = users.signIn(right)
    users.changeRole('alice', 'viewer')
    await expect(attempt).rejects.toMatchObject(refused)
  })
})

describe('a change', () => {
  test.each([
    ['of the role', (users: Users) => users.changeRole('alice', 'viewer')],
    ['of the password', (users: Users) => users.changePassword('alice', 'another good one')],
    ['that removes a user', (users: Users) => users.remove('alice')],
  ])('a change %s ends every session of that person, and of no other', async (_what, change) => {
    const { users, sessions, alice } = await openUsers()
    const bob = await users.add({ username: 'bob', role: 'viewer', password })
    const [hers, hersToo, his] = [await sessions.open(alice), await sessions.open(alice), await sessions.open(bob)]
    expect(await sessions.identify(hers.access_token)).toMatchObject({ role: 'admin', name: 'alice' })
    const ended: string[] = []
    sessions.onEnd((session) => ended.push(session))
    await change(users)
    expect(ended).toHaveLength(2)
    for (const { access_token, refresh_token } of [hers, hersToo]) {
      await expect(sessions.identify(access_token)).rejects.toMatchObject({ code: 'unauthorized' })
      expect(() => sessions.refresh(refresh_token)).toThrow(expect.objectContaining({ code: 'unauthorized' }))
    }
    expect(await sessions.identify(his.access_token)).toMatchObject({ role: 'viewer', name: 'bob' })
  })

  test('a change to the same role ends no session', async () => {
    const { users, sessions, alice } = await openUsers()
    const { access_token } = await sessions.open(alice)
    users.changeRole('alice', 'admin')
    expect(await sessions.identify(access_token)).toMatchObject({ role: 'admin' })
  })

  test('a change of the password accepts the new one and not the old', async () => {
    const { users } = await openUsers()
    await users.changePassword('alice', 'another good one')
    await expect(users.signIn(right)).rejects.toMatchObject(refused)
    expect(await users.signIn({ ...right, password: 'another good one' })).toMatchObject({ username: 'alice' })
  })

  test('a user re-created under the name of a removed one is a different person', async () => {
    const { users, sessions, alice } = await openUsers()
    const { refresh_token } = await sessions.open(alice)
    users.remove('alice')
    const other = await users.add({ username: 'alice', role: 'viewer', password: 'another good one' })
    expect(other.id).not.toBe(alice.id)
    expect(() => sessions.refresh(refresh_token)).toThrow(expect.objectContaining({ code: 'unauthorized' }))
  })
})
