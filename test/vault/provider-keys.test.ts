import { describe, expect, onTestFinished, test } from 'vitest'
import { newMasterKey } from '../../src/vault/master-key.ts'
import type { Requester } from '../../src/vault/secret-audit.ts'
import { TestClock } from '../support/clock.ts'
import { answer, FakeProvider, type Script, sends } from '../support/provider.ts'
import { openTestRuntime, patientClock, type RuntimeOptions, type TestRuntime } from '../support/runtime.ts'

const ADMIN: Requester = { role: 'admin', actor: 'ann', agentId: null }
const FIRST = 'sk-the-first-key-of-all'
const SECOND = 'sk-the-second-key-of-all'
const THIRD = 'sk-the-third-key-of-all'

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

const refuses = (status: number): Script =>
  sends(status, { 'content-type': 'application/json' }, JSON.stringify({ error: { message: 'no', type: 'auth' } }))

/** Accepts these keys and no other. */
const accepts =
  (...keys: string[]): Script =>
  (response, received) =>
    (keys.some((key) => received.headers.authorization === `Bearer ${key}`) ? answer() : refuses(401))(
      response,
      received,
    )

async function openCage(options: RuntimeOptions = {}): Promise<TestRuntime & { id: string }> {
  const cage = await openTestRuntime({ masterKey: newMasterKey(), ...options })
  const { id } = await cage.runtime.vault.create(
    { name: 'OPENAI_API_KEY', environment: 'development', value: FIRST },
    ADMIN,
  )
  return Object.assign(cage, { id })
}

const keysSeen = (cage: TestRuntime) =>
  cage.provider.requests.map(({ headers }) => headers.authorization?.replace('Bearer ', ''))

describe('the key of a call', () => {
  test('the key of a call is the one in the vault for a client without its own, not that of the environment', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    expect((await agent.chat({}, bearer(agent.token))).status).toBe(200)
    expect(keysSeen(cage)).toEqual([FIRST])
  })

  test('the key of a call is the current one for a client that still sends an earlier one', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    await cage.runtime.vault.update(cage.id, THIRD, ADMIN)
    for (const key of [FIRST, SECOND, THIRD, 'sk-of-the-agent-itself']) await agent.chat({}, bearer(key))
    expect(keysSeen(cage)).toEqual([THIRD, THIRD, THIRD, 'sk-of-the-agent-itself'])
  })

  test('the key of a call is chosen when the call is sent: one that waits for money goes out with the key of now', async () => {
    const cage = await openCage({ clock: patientClock })
    const agent = cage.addAgent({ limit: '0.7' })
    let finish = () => {}
    cage.provider.doesOnce(async (response, received) => {
      await new Promise<void>((resolve) => (finish = resolve))
      return answer({ usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } })(response, received)
    })
    const first = agent.chat({ model: 'dime' }, bearer(FIRST))
    await cage.provider.arrived(1)
    const second = agent.chat({ model: 'dime' }, bearer(FIRST))
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    finish()
    expect([(await first).status, (await second).status]).toEqual([200, 200])
    expect(keysSeen(cage)).toEqual([FIRST, SECOND])
  })

  test('a key that the provider revoked while the call was waiting is replaced by the current one', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    cage.provider.doesOnce(async (response, received) => {
      await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
      return refuses(401)(response, received)
    })
    expect((await agent.chat({}, bearer(FIRST))).status).toBe(200)
    expect(keysSeen(cage)).toEqual([FIRST, SECOND])
    expect(cage.of('secret.rolled_back')).toEqual([])
    expect(cage.rows()).toMatchObject([{ state: 'charged' }])
  })

  test('while the vault is locked: an agent with its own key works, one that needs the vault gets an error', async () => {
    const cage = await openCage({ environment: { OPENAI_API_KEY: '' } })
    await cage.close()
    const locked = await openTestRuntime({ folder: cage.folder, environment: { OPENAI_API_KEY: '' } })
    const agent = locked.addAgent()
    expect((await agent.chat({}, bearer('sk-of-the-agent-itself'))).status).toBe(200)
    const refused = await agent.chat({}, bearer(agent.token))
    expect(refused.status).toBe(503)
    expect(refused.headers['x-should-retry']).toBe('false')
    expect(refused.json().error).toMatchObject({ code: 'vault_locked' })
    expect(locked.provider.requests).toHaveLength(1)
  })

  test('with the wrong master key, an agent that needs a key of the vault gets that error', async () => {
    const cage = await openCage({ environment: { OPENAI_API_KEY: '' } })
    await cage.close()
    const environment = { OPENAI_API_KEY: '' }
    const locked = await openTestRuntime({ folder: cage.folder, masterKey: newMasterKey(), environment })
    const agent = locked.addAgent()
    const refused = await agent.chat({}, bearer(agent.token))
    expect(refused.json().error).toMatchObject({
      code: 'vault_locked',
      message: expect.stringContaining('start with the right key'),
    })
  })
})

test('a service gets the present key of its secret', async () => {
  const service = await FakeProvider.open()
  onTestFinished(() => service.close())
  const crm = { base_url: service.url, api_key_secret: 'CRM_KEY' }
  const cage = await openCage({ services: { crm } })
  const secret = { name: 'CRM_KEY', environment: 'development', value: 'crm-first-key-of-all' } as const
  const { id } = await cage.runtime.vault.create(secret, ADMIN)
  const agent = cage.addAgent()
  const call = () => agent.send('services/crm', 'GET', '/people', undefined, {})
  await call()
  await cage.runtime.vault.update(id, 'crm-second-key-of-all', ADMIN)
  await call()
  const seen = service.requests.map(({ headers }) => headers.authorization)
  expect(seen).toEqual(['Bearer crm-first-key-of-all', 'Bearer crm-second-key-of-all'])
})

describe('a new key that the provider refuses', () => {
  test('a new key that the provider refuses is rolled back automatically when the previous one is accepted; the call is sent again and charged once', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    cage.provider.does(accepts(FIRST))
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    expect((await agent.chat({}, bearer(FIRST))).status).toBe(200)
    expect(keysSeen(cage)).toEqual([SECOND, FIRST])
    expect((await cage.event('secret.rolled_back')).data).toEqual({
      name: 'OPENAI_API_KEY',
      environment: 'development',
    })
    expect(cage.of('alert.raised').map(({ data }) => data.kind)).toContain('secret_rolled_back')
    expect(cage.rows()).toMatchObject([{ state: 'charged' }])
    for (const key of [FIRST, SECOND]) expect((await agent.chat({}, bearer(key))).status).toBe(200)
    expect(keysSeen(cage).slice(2)).toEqual([FIRST, FIRST])
    const audit = cage.database.prepare("SELECT actor FROM audit WHERE action = 'secret.roll_back'").all()
    expect(audit).toEqual([{ actor: 'iron-cage' }])
  })

  test('a new key that the provider refuses is rolled back once, however many calls fail together', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    cage.provider.does(accepts(FIRST))
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    const replies = await Promise.all(Array.from({ length: 30 }, () => agent.chat({}, bearer(SECOND))))
    expect(replies.map(({ status }) => status)).toEqual(Array(30).fill(200))
    await cage.event('secret.rolled_back')
    expect(cage.runtime.vault.get(cage.id).version).toBe(3)
    expect(cage.of('secret.rolled_back')).toHaveLength(1)
  })

  test('a new key that the provider refuses stays when the previous one is refused as well', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    cage.provider.does(refuses(401))
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    expect((await agent.chat({}, bearer(SECOND))).status).toBe(401)
    expect(keysSeen(cage)).toEqual([SECOND, FIRST])
    expect(cage.runtime.vault.get(cage.id).version).toBe(2)
    expect(cage.rows()).toMatchObject([{ state: 'released' }])
  })

  test.each([
    ['after it was accepted once', async (cage: TestRuntime) => void (await cage.addAgent().chat({}, bearer(SECOND)))],
    ['after its trial', async (_: TestRuntime, clock: TestClock) => void clock.advance(300_000)],
  ])('a new key that the provider refuses stays %s', async (_when, before) => {
    const clock = new TestClock()
    const cage = await openCage({ clock })
    await cage.runtime.vault.update(cage.id, SECOND, ADMIN)
    await before(cage, clock)
    cage.provider.does(accepts(FIRST))
    const agent = cage.addAgent()
    expect((await agent.chat({}, bearer(SECOND))).status).toBe(401)
    expect(cage.runtime.vault.get(cage.id).version).toBe(2)
  })
})
