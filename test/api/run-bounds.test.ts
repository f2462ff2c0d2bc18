/** The limits of one agent's reports: their size, their rate, their names. Other agents must not notice. */

import { describe, expect, test } from 'vitest'
import { RunRate } from '../../src/http/run-rate.ts'
import { TestClock } from '../support/clock.ts'
import { openTestRuntime, patientClock } from '../support/runtime.ts'

/** An agent that reports a few hundred times does not wait. */
const openCage = () => openTestRuntime({ clock: { ...patientClock, monotonic: () => performance.now() * 1_000 } })

const begin = (name: string) => `/api/run/services/${name}/begin`

describe('an event', () => {
  test('an event holds sixteen kilobytes of data, which its row has and the snapshot leaves out', async () => {
    const cage = await openTestRuntime()
    const { token, id } = cage.addAgent()
    const data = { text: 'x'.repeat(16_384 - '{"text":""}'.length) }
    expect((await cage.post('/api/run/events', { message: 'large', data }, token)).status).toBe(204)
    expect(cage.of('agent.output')[0]!.data.facts).toEqual(data)
    expect(cage.runtime.state.findEvents({ agentId: id, type: 'agent.output', limit: 1 })[0]!.data).toMatchObject({
      facts: data,
    })
    const recent = cage.runtime.state.read().recent.find(({ type }) => type === 'agent.output')
    expect(recent!.data).toEqual({ stream: 'stdout', text: 'large' })
    const more = await cage.post('/api/run/events', { message: 'larger', data: { ...data, one: 'more' } }, token)
    expect([more.status, more.json()]).toMatchObject([413, { error: { code: 'body_too_large' } }])
    expect(cage.of('agent.output')).toHaveLength(1)
  })

  test('an event full of addresses is one transaction with a hundred incidents and a count', async () => {
    const cage = await openTestRuntime()
    const { token, id } = cage.addAgent()
    const data = { list: Array.from({ length: 1_000 }, (_, index) => `a${index}@b.com`).join(' ') }
    expect((await cage.post('/api/run/events', { message: 'to jane@corp.com', data }, token)).status).toBe(204)
    expect(cage.of('pii.found').map((event) => event.data)).toMatchObject([{ count: 1_001, incidents: 100 }])
    expect(cage.runtime.state.read().agents[id]!.pii).toEqual({ email: 1_001 })
    expect(cage.of('agent.output')[0]!.message).toBe('to [EMAIL_REDACTED]')
  })

  test.each(['/api/run/events', '/api/run/progress', '/api/run/outcomes', '/api/run/charges'])(
    'an event or another report of more than 64 KB is refused at %s',
    async (route) => {
      const cage = await openTestRuntime()
      const body = { message: 'm', done: 1, outcome: 'failed', service: 's', cost_usd: 1, label: 'x'.repeat(70_000) }
      expect((await cage.post(route, body, cage.addAgent().token)).status).toBe(413)
    },
  )
})

test.each([
  ['/api/run/events', 'POST'],
  ['/api/run/checkpoint', 'PUT'],
] as const)('JSON that is nested four thousand levels deep is refused at %s', async (route, method) => {
  const cage = await openTestRuntime()
  const { token } = cage.addAgent()
  const nested = (levels: number) => `{"message":"m","data":{"a":${'['.repeat(levels)}${']'.repeat(levels)}}}`
  const refused = await cage.post(route, nested(4_000), token, method)
  expect([refused.status, refused.json()]).toMatchObject([400, { error: { code: 'bad_request' } }])
  expect((await cage.post(route, nested(150), token, method)).status).toBeLessThan(300)
  const brackets = JSON.stringify({ message: 'm', data: { a: `"\\${'['.repeat(4_000)}` } })
  expect((await cage.post(route, brackets, token, method)).status).toBeLessThan(300)
})

test('JSON of more than a hundred thousand values is refused, a long text full of commas is not', async () => {
  const cage = await openTestRuntime()
  const { token } = cage.addAgent()
  const put = async (data: unknown) => (await cage.post('/api/run/checkpoint', { data }, token, 'PUT')).status
  expect(await put(Array.from({ length: 100_001 }, () => 0))).toBe(400)
  expect(await put(Array.from({ length: 90_000 }, () => 0))).toBe(200)
  expect(await put(','.repeat(200_000))).toBe(200)
})

test('a checkpoint without data is refused, null is data', async () => {
  const cage = await openTestRuntime()
  const { token } = cage.addAgent()
  expect((await cage.post('/api/run/checkpoint', {}, token, 'PUT')).status).toBe(400)
  expect((await cage.post('/api/run/checkpoint', { data: null }, token, 'PUT')).status).toBe(200)
})

test('a text that is scanned in turns gives the findings of one that is scanned whole', async () => {
  const cage = await openTestRuntime()
  const text = `${'x '.repeat(16_378)}jane@example.org and ${'y '.repeat(20_000)}bob@example.org`
  const { redacted, findings } = (await cage.post('/api/run/scan', { text }, cage.addAgent().token)).json()
  expect(redacted).toBe(
    text.replace('jane@example.org', '[EMAIL_REDACTED]').replace('bob@example.org', '[EMAIL_REDACTED]'),
  )
  expect(findings).toMatchObject([{ start: 32_756, end: 32_772 }, { end: text.length }])
})

describe('names', () => {
  test('an agent may report fifty names of services, and the costs of further ones share one name', async () => {
    const cage = await openCage()
    const { token, id } = cage.addAgent()
    for (let index = 0; index < 60; index += 1) {
      const body = { service: `service_${index}`, cost_usd: '0.01' }
      expect((await cage.post('/api/run/charges', body, token)).status).toBe(200)
    }
    const services = cage.runtime.state.read().agents[id]!.by_service
    expect(Object.keys(services)).toHaveLength(51)
    expect(services.other).toMatchObject({ calls: 10, cost_usd: '0.1' })
    const rows = cage.database.prepare("SELECT count(*) AS n FROM calls WHERE target = 'other'").get()
    expect(rows).toEqual({ n: 10 })
  })

  test('an agent may open twenty circuits; one more is refused, and a known or configured one is not', async () => {
    const services = { crm: { base_url: 'http://127.0.0.1:9' } }
    const cage = await openTestRuntime({ services })
    const { token } = cage.addAgent()
    for (let index = 0; index < 20; index += 1) {
      expect((await cage.post(begin(`circuit_${index}`), {}, token)).status).toBe(200)
    }
    const refused = await cage.post(begin('circuit_20'), {}, token)
    expect([refused.status, refused.json()]).toMatchObject([400, { error: { code: 'bad_request' } }])
    const end = { outcome: 'fallback', reason: 'made up' }
    expect((await cage.post('/api/run/services/circuit_21/end', end, token)).status).toBe(400)
    for (const name of ['circuit_0', 'crm']) expect((await cage.post(begin(name), {}, token)).status).toBe(200)
    expect((await cage.post(begin('circuit_20'), {}, cage.addAgent().token)).status).toBe(200)
  })

  test('the oldest of 1,001 open parts is ended, and the end of an agent ends all its parts', async () => {
    const cage = await openCage()
    const agent = cage.addAgent()
    const tokens: string[] = []
    for (let index = 0; index < 1_001; index += 1) {
      tokens.push((await cage.post('/api/run/begin', { budget_usd: '1' }, agent.token)).json().token as string)
    }
    const works = async (token: string) => (await cage.get('/api/run', token)).status === 200
    expect([await works(tokens[0]!), await works(tokens[1]!), await works(tokens[1_000]!)]).toEqual([false, true, true])
    cage.runtime.state.record({
      type: 'agent.exited',
      level: 'OK',
      agent_id: agent.id,
      message: 'done',
      data: {
        run_id: agent.runId,
        exit_code: 0,
        signal: null,
        state: 'completed',
        reason: 'done',
        restart_in_ms: null,
      },
    })
    expect(await works(tokens[1_000]!)).toBe(false)
  })
})

describe('the rate of reports', () => {
  test('a burst of reports passes at once, a steady reporter waits, and one that does not wait is refused', async () => {
    const clock = new TestClock()
    const rate = new RunRate(clock)
    for (let report = 0; report < 400; report += 1) await rate.enter('lg-1')
    let isIn = false
    const waiting = rate.enter('lg-1', 20).then(() => {
      isIn = true
    })
    await clock.advanceAsync(99)
    expect(isIn).toBe(false)
    await clock.advanceAsync(1)
    await waiting
    await expect(rate.enter('lg-1', 2_000)).rejects.toMatchObject({ code: 'too_many_attempts', retryAfterS: 5 })
    await rate.enter('lg-2', 400)
    clock.advance(2_000)
    await rate.enter('lg-1', 400)
  })
})
