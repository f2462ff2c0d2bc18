import { randomBytes } from 'node:crypto'
import { Agent } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Circuits } from '../../../src/breaker/circuits.ts'
import { cacheOwner, ServiceCache } from '../../../src/breaker/service-cache.ts'
import type { Ledger } from '../../../src/budget/ledger.ts'
import { openMoney } from '../../../src/budget/open-money.ts'
import { type Config, configSchema } from '../../../src/config/schema.ts'
import type { CageError } from '../../../src/core/errors.ts'
import { toAgentId, toRunId } from '../../../src/core/ids.ts'
import { nanodollars, usd } from '../../../src/core/money.ts'
import { newToken } from '../../../src/core/tokens.ts'
import { openStore } from '../../../src/db/store.ts'
import {
  runServiceCall,
  type ServiceCall,
  type ServiceClient,
  type ServiceRoad,
} from '../../../src/gateway/services/run-service-call.ts'
import { joinUrl } from '../../../src/gateway/services/service-attempt.ts'
import { Incidents } from '../../../src/redaction/incidents.ts'
import { Safety } from '../../../src/redaction/safety.ts'
import {
  answers,
  breaks,
  type FakeService,
  hangs,
  openWorld,
  resets,
  startFakeService,
  type World,
} from '../../breaker/support.ts'
import { dollars } from '../../support/money.ts'

type ServiceInput = Partial<Record<keyof Config['services'][string], unknown>>

interface Road extends World {
  fake: FakeService
  parts: ServiceRoad
  ledger: Ledger
  call(overrides?: Partial<ServiceCall>): Promise<Reply>
  /** The ledger's rows, oldest first. */
  rows(): unknown[]
}

const AGENT = toAgentId('lg-7a3f9c2d')
const RUN = toRunId('run-5f0c2b9e41d3')

/** A service that costs ten cents, never retried unless the test asks for it. */
async function openRoad(input: ServiceInput = {}, limit = '50', key?: string): Promise<Road> {
  const fake = await startFakeService()
  const store = openStore({ path: ':memory:' })
  const world = openWorld(store)
  const { state, clock } = world
  const money = openMoney(configSchema.parse({}), { store, state, clock })
  const { ledger } = money
  ledger.accounts.openAccount(AGENT, dollars(limit))
  state.record({
    type: 'agent.started',
    level: 'INFO',
    agent_id: AGENT,
    message: 'Agent started',
    data: {
      run_id: RUN,
      name: 'lead_gen_agent',
      script: 'lead_gen_agent.py',
      environment: 'development',
      pid: 1,
      restart: 0,
      limit_usd: usd(limit),
      safety_mode: 'redact',
      detect: [],
    },
  })
  world.events.length = 0
  const dispatcher = new Agent({ connections: 64 })
  onTestFinished(() => dispatcher.destroy())
  const { services } = configSchema.parse({
    services: { linkedin_api: { base_url: `${fake.url}/v2`, cost_per_call_usd: '0.10', retries: 0, ...input } },
  })
  const parts: ServiceRoad = {
    services,
    circuits: new Circuits({ state, clock }),
    cache: new ServiceCache({ store, clock }),
    money,
    state,
    clock,
    dispatcher,
    network: { ca: undefined, httpProxy: '', httpsProxy: '', noProxy: '' },
    redaction: { redactor: new Safety(configSchema.parse({}).safety).replies, incidents: new Incidents(store, state) },
    secrets: { keys: { find: () => key }, keyNames: { services: { linkedin_api: 'LINKEDIN_KEY' } } },
  }
  return {
    ...world,
    fake,
    parts,
    ledger,
    call: async (overrides) => {
      const call: ServiceCall = {
        caller: { agentId: AGENT, runId: RUN },
        service: 'linkedin_api',
        method: 'GET',
        path: '/companies?domain=acme.com',
        headers: {},
        body: Buffer.alloc(0),
        via: undefined,
        signal: new AbortController().signal,
        ...overrides,
      }
      const client = new CollectingClient()
      await runServiceCall(parts, call, client)
      return client.reply
    },
    rows: () =>
      store.orm.$client
        .prepare('SELECT kind, target, state, held_nanos, cost_nanos, status, code FROM ledger ORDER BY id')
        .all(),
  }
}

interface Reply {
  status: number
  headers: Record<string, unknown>
  body: Buffer
}

/** Collects what a client would receive. */
class CollectingClient implements ServiceClient {
  readonly reply: Reply = { status: 0, headers: {}, body: Buffer.alloc(0) }
  isCut = false
  readonly #pieces: Buffer[] = []

  send(status: number, headers: Record<string, unknown>, body: Buffer | string): void {
    Object.assign(this.reply, { status, headers, body: Buffer.from(body) })
  }

  begin(status: number, headers: Record<string, unknown>): void {
    Object.assign(this.reply, { status, headers })
  }

  write(piece: string | Buffer): Promise<void> {
    this.#pieces.push(Buffer.from(piece))
    return Promise.resolve()
  }

  end(): void {
    this.reply.body = Buffer.concat(this.#pieces)
  }

  hangUp(): void {
    this.isCut = true
  }
}

const called = (road: Road) => road.of('service.called').map(({ data }) => data)

/** No money is held, and no row waits for its end. */
function expectSettled(road: Road, spent: string): void {
  expect(road.ledger.accounts.balance(AGENT)).toMatchObject({ spent: dollars(spent), held: 0 })
  expect(road.rows().filter((row) => (row as { state: string }).state === 'held')).toEqual([])
}

const CACHE = { cache: { ttl_s: 3600 } }

describe('a live call', () => {
  test('a live call returns the answer, costs the configured price, and is recorded in its row', async () => {
    const road = await openRoad()
    road.fake.behave(answers(200, { name: 'Acme' }, { 'x-rate-left': '7' }))
    const reply = await road.call()
    expect(JSON.parse(reply.body.toString())).toEqual({ name: 'Acme' })
    expect(reply).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-rate-left': '7',
        'x-iron-cage-tier': '1',
        'x-iron-cage-cost-usd': '0.1',
      },
    })
    const [data] = called(road)
    expect(data).toMatchObject({
      service: 'linkedin_api',
      ok: true,
      status: 200,
      tier: 1,
      blocked: false,
      cost_usd: '0.1',
      saved_usd: '0',
    })
    expect(reply.headers['x-iron-cage-call-id']).toBe(data?.call_id)
    expect(road.events.map(({ type, message }) => `${type} ${message}`)).toEqual([
      'service.called linkedin_api answered 200 · $0.10',
    ])
    expect(road.rows()).toEqual([
      {
        kind: 'service',
        target: 'linkedin_api',
        state: 'charged',
        held_nanos: 100_000_000,
        cost_nanos: 100_000_000,
        status: 200,
        code: null,
      },
    ])
    expectSettled(road, '0.1')
  })

  test('a live call that is free has a row too', async () => {
    const road = await openRoad({ cost_per_call_usd: '0' })
    await road.call()
    expect(road.rows()).toMatchObject([{ state: 'charged', held_nanos: 0, cost_nanos: 0 }])
  })

  test("a live call sends method, query, body and the agent's key, but no header of ours or of the connection", async () => {
    const road = await openRoad()
    const token = newToken('run')
    await road.call({
      method: 'POST',
      path: '/search?q=a%20b&q=c',
      body: Buffer.from('{"a":1}'),
      headers: {
        authorization: 'Bearer service-key',
        'content-type': 'application/json',
        'content-length': '7',
        host: '127.0.0.1:8080',
        connection: 'keep-alive, x-hop',
        'x-hop': 'mine',
        te: 'trailers',
        'accept-encoding': 'gzip',
        'x-iron-cage-agent': 'lg-1',
        'x-token': `Bearer ${token}`,
      },
    })
    const [seen] = road.fake.seen
    expect(seen).toMatchObject({ method: 'POST', url: '/v2/search?q=a%20b&q=c', body: '{"a":1}' })
    const { connection: _undici, ...headers } = seen!.headers
    expect(headers).toEqual({
      host: new URL(road.fake.url).host,
      authorization: 'Bearer service-key',
      'content-type': 'application/json',
      'content-length': '7',
      'accept-encoding': 'identity',
    })
    expect(JSON.stringify(road.fake.seen)).not.toContain(token)
  })

  test.each(['run', 'ic', 'code', 'ticket', 'refresh', 'link'] as const)(
    "a live call never carries a token of ours (%s_…), which does not replace the service's own key either",
    async (prefix) => {
      const road = await openRoad({}, '50', 'key-of-the-service')
      const token = newToken(prefix)
      const headers = { authorization: `Bearer ${token}`, 'x-api-key': token, cookie: `a=${token}` }
      expect((await road.call({ headers })).status).toBe(200)
      expect(road.fake.seen[0]?.headers.authorization).toBe('Bearer key-of-the-service')
      expect(JSON.stringify(road.fake.seen)).not.toContain(token)
      await expect(road.call({ path: `/a?key=${token}` })).rejects.toMatchObject({ code: 'bad_request' })
    },
  )

  test('a live call that the budget cannot pay is not sent and leaves no trace at the service', async () => {
    const road = await openRoad({}, '0.05')
    await expect(road.call()).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect(road.fake.seen).toEqual([])
    expect(called(road)).toEqual([])
    expectSettled(road, '0')
  })

  test('a live call of an agent that is paused or has ended is not sent', async () => {
    const road = await openRoad()
    const about = { level: 'INFO', agent_id: AGENT, message: '' } as const
    road.state.record({ ...about, type: 'agent.paused', data: { by: 'admin' } })
    road.clock.advance(2_000)
    await expect(road.call()).rejects.toMatchObject({ code: 'agent_paused' })
    const end = { exit_code: 0, signal: null, state: 'completed', reason: 'done', restart_in_ms: null } as const
    road.state.record({ ...about, type: 'agent.exited', data: { ...end, run_id: RUN } })
    await expect(road.call()).rejects.toMatchObject({ code: 'agent_not_running' })
    expect(road.fake.seen).toEqual([])
  })

  test('a live call of an unknown service is not found', async () => {
    const road = await openRoad()
    for (const service of ['clearbit_api', 'constructor', '__proto__']) {
      await expect(road.call({ service })).rejects.toMatchObject({ code: 'not_found' })
    }
  })
})

describe('failures that count against the service', () => {
  const rows = [
    { name: 'a 500 does', does: answers(500), counts: true, status: 500 },
    { name: 'a 429 does', does: answers(429), counts: true, status: 429 },
    { name: 'a reset connection does', does: resets, counts: true, code: 'provider_unreachable' },
    { name: 'no answer in time does', does: hangs, counts: true, code: 'provider_timeout', timeoutS: 1 },
    {
      name: 'an answer that breaks does, and is paid',
      does: breaks,
      counts: true,
      code: 'provider_unreachable',
      cost: '0.1',
    },
    { name: 'a 404 does not', does: answers(404), counts: false, status: 404 },
    { name: 'a 401 does not', does: answers(401), counts: false, status: 401 },
    { name: 'a 304 does not', does: answers(304, ''), counts: false, status: 304 },
    {
      name: 'a redirect does not, and is not followed',
      does: answers(302, '', { location: 'http://169.254.169.254/latest/meta-data' }),
      counts: false,
      code: 'provider_reply_invalid',
    },
  ]
  test.each(rows)('$name', async ({ does, counts, status, code, cost = '0', timeoutS = 20 }) => {
    const road = await openRoad({ breaker: { failures: 1 }, timeout_s: timeoutS })
    road.fake.behave(does)
    const reply = road.call()
    if (does === hangs) void road.fake.arrived(1).then(() => road.clock.advance(timeoutS * 1000))
    if (status) expect((await reply).status).toBe(status)
    else await expect(reply).rejects.toMatchObject({ code })
    expect(road.fake.seen).toHaveLength(1)
    expect(road.of('circuit.opened')).toHaveLength(counts ? 1 : 0)
    expect(called(road)).toMatchObject([{ ok: false, blocked: false, cost_usd: cost, saved_usd: '0' }])
    expectSettled(road, cost)
  })

  test('an answer of any length flows on and is paid; one whose JSON is to be redacted has a limit', async () => {
    const long = 'x'.repeat(17 * 1024 * 1024)
    const road = await openRoad({})
    road.fake.behave(answers(200, long))
    expect((await road.call()).body.length).toBe(long.length)
    expect(called(road)).toMatchObject([{ ok: true, status: 200, cost_usd: '0.1' }])
    expectSettled(road, '0.1')
    const redacting = await openRoad({ redact: ['replies'] })
    redacting.fake.behave(answers(200, long))
    const code = await redacting.call().then(
      () => undefined,
      (error: CageError) => error.code,
    )
    expect(code).toBe('reply_too_large')
    expectSettled(redacting, '0.1')
  })

  test('a service that cannot be connected to does', async () => {
    const road = await openRoad({ breaker: { failures: 1 }, base_url: 'http://127.0.0.1:1' })
    await expect(road.call()).rejects.toMatchObject({ code: 'provider_unreachable', facts: { fault: 'ECONNREFUSED' } })
    expect(road.of('circuit.opened')[0]?.data.reason).toBe('connection failed (ECONNREFUSED)')
    expectSettled(road, '0')
  })

  test('an agent that leaves does not; its request is aborted and nothing answers in its place', async () => {
    const road = await openRoad({ breaker: { failures: 1 }, fallback: { placeholder: {} } })
    const closed = Promise.withResolvers<void>()
    road.fake.behave((request) => void request.socket.once('close', () => closed.resolve()))
    const gone = new AbortController()
    const reply = road.call({ signal: gone.signal })
    await road.fake.arrived(1)
    gone.abort(new Error('the agent left'))
    await expect(reply).rejects.toThrow('the agent left')
    await closed.promise
    expect(called(road)).toMatchObject([{ ok: false, status: 499, tier: null, cost_usd: '0' }])
    expect(road.events).toHaveLength(1)
    expectSettled(road, '0')
  })
})

describe('retries', () => {
  test('retries go on until the service answers, for one price and one row', async () => {
    const road = await openRoad({ retries: 2 })
    const script = [answers(503), resets, answers(200)]
    road.fake.behave((...args) => script.shift()!(...args))
    expect((await road.clock.passing(road.call())).status).toBe(200)
    expect(road.fake.seen).toHaveLength(3)
    expect(road.rows()).toHaveLength(1)
    expectSettled(road, '0.1')
  })

  const never = [
    { name: 'a POST whose outcome is unknown', method: 'POST', does: resets },
    { name: 'a POST that ended in a 500', method: 'POST', does: answers(500) },
    { name: "a refusal of the agent's own making", method: 'GET', does: answers(404) },
    { name: 'an answer that broke after its first byte', method: 'GET', does: breaks },
  ]
  test.each(never)('$name is not tried again', async ({ method, does }) => {
    const road = await openRoad({ retries: 3 })
    road.fake.behave(does)
    await road.call({ method }).catch(() => undefined)
    expect(road.fake.seen).toHaveLength(1)
  })

  test('a POST that was turned away is tried again', async () => {
    const road = await openRoad({ retries: 1 })
    const script = [answers(429), answers(201)]
    road.fake.behave((...args) => script.shift()!(...args))
    const call = road.call({ method: 'POST', body: Buffer.from('{}') })
    expect((await road.clock.passing(call)).status).toBe(201)
  })

  test('retries end when the circuit opens', async () => {
    const road = await openRoad({ retries: 10, breaker: { failures: 2 } })
    road.fake.behave(answers(500))
    await expect(road.clock.passing(road.call())).rejects.toMatchObject({ code: 'circuit_open', retryAfterS: 60 })
    expect(road.fake.seen).toHaveLength(2)
    expect(called(road)).toMatchObject([{ blocked: false, saved_usd: '0', status: 503 }])
    expectSettled(road, '0')
  })
})

describe('a service that fails', () => {
  test('one call uses up its five attempts, opens the circuit and is answered from the cache; later ones are blocked', async () => {
    const road = await openRoad({ retries: 4, fallback: CACHE })
    road.fake.behave(answers(200, { name: 'Acme' }))
    await road.call()
    road.fake.behave(answers(429, { message: 'Rate limit exceeded' }, { 'retry-after': '1800' }))
    expect(called(road)).toHaveLength(1)
    road.events.length = 0
    const first = await road.clock.passing(road.call())
    expect(first).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', 'x-iron-cage-tier': '2', 'x-iron-cage-cost-usd': '0' },
    })
    expect(first.body.toString()).toBe('{"name":"Acme"}')
    expect(road.fake.seen).toHaveLength(6)
    await road.call()
    expect(road.fake.seen, 'nothing more was sent').toHaveLength(6)
    expect(road.events.map(({ type, message }) => `${type}: ${message}`)).toEqual([
      'circuit.opened: Circuit OPEN for linkedin_api after 5 failures · fallback tier 2 (cached data)',
      'service.called: linkedin_api failed: answered 429 · cached data',
      'fallback.used: linkedin_api: served from cache (answered 429)',
      'service.called: linkedin_api not called, circuit open · cached data · $0.10 saved',
      'fallback.used: linkedin_api: served from cache (circuit open)',
    ])
    expect(called(road)).toMatchObject([
      { ok: true, status: 200, tier: 2, blocked: false, cost_usd: '0', saved_usd: '0' },
      { ok: true, status: 200, tier: 2, blocked: true, cost_usd: '0', saved_usd: '0.1' },
    ])
    expect(road.of('circuit.opened')[0]?.data.cooldown_ms).toBe(1_800_000)
    expect(road.rows(), 'a blocked call holds nothing').toHaveLength(2)
    expect(road.state.read().circuits.linkedin_api).toMatchObject({
      state: 'open',
      trips: 1,
      blocked: 1,
      saved_usd: '0.1',
      fallbacks: 2,
    })
    expectSettled(road, '0.1')
  })

  test('the placeholder answers when nothing is cached', async () => {
    const road = await openRoad({ fallback: { ...CACHE, placeholder: { name: 'unknown' } } })
    road.fake.behave(answers(500))
    const reply = await road.call()
    expect(reply).toMatchObject({ status: 200, headers: { 'x-iron-cage-tier': '3' } })
    expect(reply.body.toString()).toBe('{"name":"unknown"}')
    expect(called(road)).toMatchObject([{ ok: true, tier: 3, cost_usd: '0' }])
  })

  test('a failed service without a fallback answers in its own words, and with a clean refusal once it is blocked', async () => {
    const road = await openRoad({ breaker: { failures: 1 } })
    road.fake.behave(answers(429, { message: 'slow down' }, { 'retry-after': '90' }))
    const reply = await road.call()
    expect(reply).toMatchObject({ status: 429, headers: { 'retry-after': '90', 'x-iron-cage-tier': '1' } })
    await expect(road.call()).rejects.toMatchObject({ code: 'circuit_open', retryAfterS: 90 })
    expect(called(road)).toMatchObject([
      { ok: false, status: 429, tier: null, blocked: false },
      { ok: false, status: 503, tier: null, blocked: true, saved_usd: '0.1' },
    ])
    expect(road.of('fallback.used')).toEqual([])
  })

  test('a blocked call is answered though the budget is spent', async () => {
    const road = await openRoad({ breaker: { failures: 1 }, fallback: { placeholder: {} } }, '0.1')
    await road.call()
    await expect(road.call()).rejects.toMatchObject({ code: 'budget_exceeded' })
    road.ledger.accounts.setLimit(AGENT, dollars('0.2'), 'admin')
    road.fake.behave(answers(500))
    await road.call()
    road.ledger.accounts.setLimit(AGENT, dollars('0.1'), 'admin')
    expect((await road.call()).headers['x-iron-cage-tier']).toBe('3')
  })

  test('after the cooldown one call probes while the others are answered by the fallback', async () => {
    const road = await openRoad({ breaker: { failures: 1, cooldown_s: 60 }, fallback: { placeholder: {} } })
    road.fake.behave(answers(500))
    await road.call()
    road.clock.advance(60_000)
    const release = Promise.withResolvers<void>()
    road.fake.behave((...args) => void release.promise.then(() => answers(200)(...args)))
    const probe = road.call()
    await road.fake.arrived(2)
    const others = await Promise.all(Array.from({ length: 20 }, () => road.call()))
    expect(new Set(others.map(({ headers }) => headers['x-iron-cage-tier']))).toEqual(new Set(['3']))
    release.resolve()
    expect((await probe).headers['x-iron-cage-tier']).toBe('1')
    expect(road.fake.seen).toHaveLength(2)
    expect((await road.call()).headers['x-iron-cage-tier']).toBe('1')
    expect(road.of('circuit.closed')).toHaveLength(1)
  })

  test('a probe that hangs ends by its time limit and opens the circuit again', async () => {
    const road = await openRoad({ breaker: { failures: 1 }, timeout_s: 1, fallback: { placeholder: {} } })
    road.fake.behave(answers(500))
    await road.call()
    road.clock.advance(60_000)
    road.fake.behave(hangs)
    await road.clock.passing(road.call())
    expect(road.of('circuit.opened').map(({ data }) => data.reason)).toEqual(['answered 500', 'no answer within 1 s'])
    expect(road.state.read().circuits.linkedin_api).toMatchObject({ state: 'open', trips: 1 })
  })

  test("a probe that ends in the agent's own mistake, or cannot be paid, leaves its place to the next", async () => {
    const road = await openRoad({ breaker: { failures: 1 } }, '0.1')
    road.fake.behave(answers(500))
    await road.call()
    road.clock.advance(60_000)
    road.fake.behave(answers(404))
    expect((await road.call()).status).toBe(404)
    road.ledger.accounts.setLimit(AGENT, nanodollars(0), 'admin')
    await expect(road.call()).rejects.toMatchObject({ code: 'budget_exceeded' })
    road.ledger.accounts.setLimit(AGENT, dollars('1'), 'admin')
    road.fake.behave(answers(200))
    expect((await road.call()).status).toBe(200)
    expect(road.of('circuit.closed')).toHaveLength(1)
  })

  test('a dead service with a thousand callers opens its circuit after five, and the rest are refused without a request', async () => {
    const road = await openRoad({ retries: 2, cost_per_call_usd: '0' })
    road.fake.behave(answers(500))
    const settled = await road.clock.passing(Promise.allSettled(Array.from({ length: 1_000 }, () => road.call())))
    expect(settled).toHaveLength(1_000)
    expect(road.of('circuit.opened')).toHaveLength(1)
    const sent = road.fake.seen.length
    for (let i = 0; i < 1_000; i++) await expect(road.call()).rejects.toMatchObject({ code: 'circuit_open' })
    expect(road.fake.seen).toHaveLength(sent)
    expectSettled(road, '0')
  })
})

describe('the cache', () => {
  test("the cache never serves another caller's answer, and repeats no request with side effects", async () => {
    const road = await openRoad({ fallback: CACHE, breaker: { failures: 100 } })
    road.fake.behave(answers(200, { private: 'of alice' }))
    const alice = { 'x-user-key': 'alice' }
    await road.call({ headers: alice })
    await road.call({ method: 'POST', path: '/mails', body: Buffer.from('{}') })
    await road.call({ path: '/secret', headers: { 'cache-control': 'no-store' } })
    // Answers that are never served are not stored either.
    expect(road.store.orm.$client.prepare('SELECT count(*) FROM service_cache').pluck().get()).toBe(1)
    road.fake.behave(answers(503, { down: true }))
    const down = { status: 503, headers: { 'x-iron-cage-tier': '1' } }
    expect(await road.call({ headers: alice })).toMatchObject({ status: 200, headers: { 'x-iron-cage-tier': '2' } })
    expect(await road.call({ headers: { 'x-user-key': 'bob' } })).toMatchObject(down)
    expect(await road.call({ method: 'POST', path: '/mails', body: Buffer.from('{}') })).toMatchObject(down)
    expect(await road.call({ path: '/secret' })).toMatchObject(down)
  })

  test('the cache is filled by good answers only', async () => {
    const road = await openRoad({ fallback: CACHE, breaker: { failures: 1 } })
    road.fake.behave(answers(404))
    await road.call()
    road.fake.behave(answers(500, { message: 'down' }))
    expect((await road.call()).status).toBe(500)
    await expect(road.call()).rejects.toMatchObject({ code: 'circuit_open' })
  })

  test('a service without a cache keeps nothing', async () => {
    const road = await openRoad()
    await road.call()
    expect(road.store.orm.$client.prepare('SELECT count(*) FROM service_cache').pluck().get()).toBe(0)
  })

  test('the cache does not keep an answer whose encoding it could not give back', async () => {
    const road = await openRoad({ fallback: CACHE })
    road.fake.behave(answers(200, 'not really gzip', { 'content-encoding': 'gzip' }))
    expect((await road.call()).headers['content-encoding']).toBe('gzip')
    road.fake.behave(answers(500))
    expect((await road.call()).status).toBe(500)
  })

  test('the cache answers after a restart, and with entries that others added', async () => {
    const road = await openRoad({ fallback: CACHE })
    const body = randomBytes(1000)
    const { store, clock } = road
    new ServiceCache({ store, clock }).put(
      'linkedin_api',
      {
        owner: cacheOwner(road.state.read().agents[AGENT]!),
        method: 'GET',
        path: '/companies?domain=acme.com',
        headers: {},
        body: Buffer.alloc(0),
      },
      { status: 203, contentType: 'image/png', body },
    )
    road.fake.behave(resets)
    const reply = await road.call()
    expect(reply).toMatchObject({ status: 203, headers: { 'content-type': 'image/png', 'x-iron-cage-tier': '2' } })
    expect(reply.body.equals(body)).toBe(true)
  })
})

describe('an address', () => {
  const inside = [
    ['https://api.test', '/a/b?c=d', 'https://api.test/a/b?c=d'],
    ['https://api.test/v2/', '/a', 'https://api.test/v2/a'],
    ['https://api.test/v2', 'a', 'https://api.test/v2/a'],
    ['https://api.test/v2', '', 'https://api.test/v2/'],
    ['https://api.test/v2', '?a=1', 'https://api.test/v2/?a=1'],
    ['https://api.test/v2', '/a/../b', 'https://api.test/v2/b'],
    ['https://api.test/v2', '//evil.test/a', 'https://api.test/v2//evil.test/a'],
    ['https://api.test', '//evil.test/a', 'https://api.test//evil.test/a'],
    ['https://api.test', '@evil.test/a', 'https://api.test/@evil.test/a'],
    ['https://api.test', ':80/a', 'https://api.test/:80/a'],
    ['https://api.test/v2', '/a?next=/../../x', 'https://api.test/v2/a?next=/../../x'],
    ['https://api.test/v2', '/acme..inc/.well-known/a%20b', 'https://api.test/v2/acme..inc/.well-known/a%20b'],
  ] as const
  test.each(inside)('%s and %s make %s', (base, path, url) => expect(joinUrl(base, path).href).toBe(url))

  const outside = [
    '/../admin',
    '/..',
    '/a/../../admin',
    '/%2e%2e/admin',
    '/.%2E/admin',
    '/..%2fadmin',
    '/..%5cadmin',
    '/..\\admin',
    '/a%2f..%2f..%2fadmin',
    '/%252e%252e%252fadmin',
    `/a?token=${newToken('run')}`,
  ]
  test.each(outside)('%s is refused', (path) => {
    expect(() => joinUrl('https://api.test/v2', path)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
})
