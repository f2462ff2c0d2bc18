/** Circuits that agents' own code shares, through the API. */

import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'

const URL = '/api/run/services/serp_api'

/** Stands still, so that the whole cooldown is left. */
const clock = { ...systemClock, monotonic: () => 1_000 }

const begin = (cage: TestRuntime, token: string, body: object = { failures: 2, cooldown_s: 60 }) =>
  cage.post(`${URL}/begin`, body, token)

async function call(cage: TestRuntime, token: string, outcome: string): Promise<void> {
  const { permit } = (await begin(cage, token)).json()
  expect((await cage.post(`${URL}/end`, { permit, outcome, reason: 'timed out' }, token)).status).toBe(204)
}

describe('a circuit for calls that an agent makes outside the gateway', () => {
  test('a reported circuit opens for every agent of the server, and is on the dashboard', async () => {
    const cage = await openTestRuntime({ clock })
    const [one, other] = [cage.addAgent(), cage.addAgent()]
    await call(cage, one.token, 'failed')
    await call(cage, other.token, 'failed')
    const refused = await begin(cage, one.token)
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '60'])
    expect(refused.json()).toMatchObject({ error: { code: 'circuit_open', facts: { circuit: 'serp_api' } } })
    expect(cage.of('circuit.opened')).toMatchObject([
      { data: { circuit: 'serp_api', failures: 2, reason: 'timed out' } },
    ])
    const { access_token } = await cage.login()
    expect((await cage.get('/api/circuits', access_token)).json()).toMatchObject({
      circuits: [{ name: 'serp_api', state: 'open' }],
    })
    await cage.post('/api/circuits/serp_api/reset', {}, access_token)
    expect((await begin(cage, one.token)).status).toBe(200)
  })

  test('a reported circuit counts failures in a row only, each permit once, and no ignored results', async () => {
    const cage = await openTestRuntime()
    const { token } = cage.addAgent()
    for (const outcome of ['failed', 'succeeded', 'failed', 'ignored']) await call(cage, token, outcome)
    expect(cage.of('circuit.opened')).toEqual([])
    const { permit } = (await begin(cage, token, { failures: 3 })).json()
    for (let report = 0; report < 5; report++) await cage.post(`${URL}/end`, { permit, outcome: 'failed' }, token)
    expect(cage.of('circuit.opened')).toEqual([])
  })

  test('a reported circuit of a configured service has its settings', async () => {
    const services = { serp_api: { base_url: 'http://127.0.0.1:9', breaker: { failures: 1, cooldown_s: 7 } } }
    const cage = await openTestRuntime({ services, clock })
    const { token } = cage.addAgent()
    await call(cage, token, 'failed')
    expect((await begin(cage, token)).headers['retry-after']).toBe('7')
  })

  test('a reported circuit of a configured service belongs to the reporting agent, and the others go on', async () => {
    const services = { serp_api: { base_url: 'http://127.0.0.1:9', retries: 0, breaker: { failures: 2 } } }
    const cage = await openTestRuntime({ services })
    const [hostile, other] = [cage.addAgent(), cage.addAgent()]
    for (let i = 0; i < 5; i++) {
      const { permit } = (await begin(cage, hostile.token)).json()
      await cage.post(`${URL}/end`, { permit, outcome: 'failed', retry_after_s: 86_400 }, hostile.token)
    }
    expect((await begin(cage, hostile.token)).status).toBe(503)
    expect((await begin(cage, other.token)).status).toBe(200)
    // It is called, and cannot be reached.
    expect((await other.service('serp_api', '/')).status).toBe(502)
  })

  test('a reported circuit is never that of a provider, so that an agent cannot cut off the others', async () => {
    const cage = await openTestRuntime()
    const { token } = cage.addAgent()
    expect((await cage.post('/api/run/services/openai/begin', {}, token)).status).toBe(400)
  })

  test('a reported circuit reports that a fallback answered', async () => {
    const cage = await openTestRuntime()
    const { token } = cage.addAgent()
    await cage.post(`${URL}/end`, { outcome: 'fallback', reason: 'asked a@b.example' }, token)
    expect(cage.of('fallback.used')).toMatchObject([
      { data: { service: 'serp_api', tier: 3, why: 'asked [EMAIL_REDACTED]' } },
    ])
  })
})

describe('an admin', () => {
  test('an admin opens a circuit until it is reset; names with a slash are one name', async () => {
    const cage = await openTestRuntime()
    const { token } = cage.addAgent()
    const { access_token } = await cage.login()
    const opened = await cage.post('/api/circuits/openai%2Fpenny/open', {}, access_token)
    expect(opened.json()).toMatchObject({ name: 'openai/penny', state: 'open', forced: true })
    expect((await cage.post('/api/circuits/nobody/open', {}, access_token)).status).toBe(404)
    expect((await cage.post('/api/circuits/openai/open', {}, token)).status).toBe(403)
    const reset = await cage.post('/api/circuits/openai%2Fpenny/reset', {}, access_token)
    expect(reset.json()).toMatchObject({ state: 'closed', forced: false })
  })
})
