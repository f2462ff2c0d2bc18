import type { IncomingHttpHeaders } from 'node:http'
import { expect, test } from 'vitest'
import { fallbackTier, findFallback } from '../../src/breaker/fallback.ts'
import { cacheOwner, mayStore, ServiceCache, type ServiceRequest } from '../../src/breaker/service-cache.ts'
import { configSchema, type ServiceConfig } from '../../src/config/schema.ts'
import { newToken } from '../../src/core/tokens.ts'
import { openStore } from '../../src/db/store.ts'
import { serviceCacheTable } from '../../src/db/tables/service-cache.ts'
import { TestClock } from '../support/clock.ts'

const get = (path: string, body = '', headers = {}): ServiceRequest => ({
  owner: 'alice',
  method: 'GET',
  path,
  headers,
  body: Buffer.from(body),
})

const answer = (body: string, status = 200) => ({ status, contentType: 'text/plain', body: Buffer.from(body) })

function openCache() {
  const store = openStore({ path: ':memory:' })
  const clock = new TestClock()
  return { store, clock, cache: new ServiceCache({ store, clock }) }
}

function serviceWith(fallback: object): ServiceConfig {
  return configSchema.parse({ services: { linkedin_api: { base_url: 'http://127.0.0.1:1', fallback } } }).services
    .linkedin_api!
}

test('the same request gets the last good answer, byte for byte', () => {
  const { cache } = openCache()
  cache.put('linkedin_api', get('/a?b=1'), answer('old'))
  cache.put('linkedin_api', get('/a?b=1'), answer('\u0000é\n'))
  expect(cache.get('linkedin_api', get('/a?b=1'), 60)).toEqual(answer('\u0000é\n'))
})

test('another caller, another credential and another representation are another request', () => {
  const { cache } = openCache()
  const mine = get('/me', '', { 'x-user-key': 'alice', authorization: 'Bearer a', cookie: 'a=1' })
  cache.put('s', mine, answer('private'))
  for (const other of [
    { ...mine, owner: 'bob' },
    { ...mine, headers: { ...mine.headers, 'x-user-key': 'bob' } },
    { ...mine, headers: { ...mine.headers, authorization: 'Bearer b' } },
    { ...mine, headers: { ...mine.headers, cookie: undefined } },
    { ...mine, headers: { ...mine.headers, 'accept-language': 'de' } },
  ]) {
    expect(cache.get('s', other, 60)).toBeUndefined()
  }
  const same = { ...mine.headers, 'user-agent': 'another', traceparent: '00-1', 'x-token': newToken('run') }
  expect(cache.get('s', { ...mine, headers: same }, 60)).toEqual(answer('private'))
})

test('an earlier start of the same script is the same caller; another script, name or environment is not', () => {
  const agent = { id: 'ag-1', name: 'agent', script: '/a/agent.py', environment: 'staging' }
  expect(cacheOwner({ ...agent, id: 'ag-2' })).toBe(cacheOwner(agent))
  const others = [
    { ...agent, script: '/b/agent.py' },
    { ...agent, name: 'other' },
    { ...agent, environment: 'production' },
    { ...agent, script: '' },
    { ...agent, script: '', id: 'ag-2' },
  ]
  expect(new Set([agent, ...others].map(cacheOwner)).size).toBe(6)
})

test.each<[request: IncomingHttpHeaders, answer: IncomingHttpHeaders, may: boolean]>([
  [{}, {}, true],
  [{}, { 'cache-control': 'max-age=60, public' }, true],
  [{}, { 'cache-control': 'Private, max-age=60' }, false],
  [{}, { 'cache-control': 'no-store' }, false],
  [{}, { 'cache-control': 'no-cache="set-cookie"' }, false],
  [{ 'cache-control': 'no-store' }, {}, false],
  [{}, { vary: 'Accept-Encoding, X-User-Key, Authorization' }, true],
  [{}, { vary: 'User-Agent' }, false],
  [{}, { vary: '*' }, false],
  [{}, { 'content-encoding': 'gzip' }, false],
])('the client and the service decide whether an answer is stored: %j, %j: %s', (request, answer, may) => {
  expect(mayStore(request, answer)).toBe(may)
})

test('a method with side effects is answered from the cache only if the configuration lists it', () => {
  const { cache } = openCache()
  const post = { ...get('/mails'), method: 'POST' }
  cache.put('s', post, answer('sent', 201))
  expect(findFallback(cache, 's', serviceWith({ cache: {} }), post)).toBeUndefined()
  expect(findFallback(cache, 's', serviceWith({ cache: { methods: ['POST'] } }), post)).toMatchObject({ status: 201 })
})

test('another service, method, path, query or body is another request', () => {
  const { cache } = openCache()
  cache.put('linkedin_api', get('/a?b=1'), answer('yes'))
  for (const other of [get('/a?b=2'), get('/b?b=1'), get('/a?b=1', 'x'), { ...get('/a?b=1'), method: 'POST' }]) {
    expect(cache.get('linkedin_api', other, 60)).toBeUndefined()
  }
  expect(cache.get('clearbit_api', get('/a?b=1'), 60)).toBeUndefined()
})

test('an answer older than its time to live is not given', () => {
  const { cache, clock } = openCache()
  cache.put('linkedin_api', get('/a'), answer('yes'))
  clock.advance(60_000)
  expect(cache.get('linkedin_api', get('/a'), 60)).toBeDefined()
  clock.advance(1)
  expect(cache.get('linkedin_api', get('/a'), 60)).toBeUndefined()
})

test('an empty answer is cached; errors, partial answers and bodies above 1 MiB are not', () => {
  const { cache } = openCache()
  const kept = [answer('', 204), answer('x'.repeat(1_048_576))]
  const dropped = [answer('no', 404), answer('part', 206), answer('moved', 301), answer('x'.repeat(1_048_577))]
  kept.forEach((each, index) => {
    cache.put('s', get(`/kept/${index}`), each)
  })
  dropped.forEach((each, index) => {
    cache.put('s', get(`/dropped/${index}`), each)
  })
  kept.forEach((each, index) => {
    expect(cache.get('s', get(`/kept/${index}`), 60)).toEqual(each)
  })
  dropped.forEach((_, index) => {
    expect(cache.get('s', get(`/dropped/${index}`), 60)).toBeUndefined()
  })
})

test('no key of a service in a query is written down', () => {
  const { cache, store } = openCache()
  cache.put('linkedin_api', get('/a?api_key=canary-secret'), answer('yes'))
  expect(JSON.stringify(store.orm.$client.prepare('SELECT * FROM service_cache').all())).not.toContain('canary')
})

test('a full cache evicts the oldest entries of that service only; storing an entry again renews it', () => {
  const { store, clock } = openCache()
  const cache = new ServiceCache({ store, clock, bytesKept: 4 })
  const keys = (service: string) =>
    ['a', 'b', 'c', 'd', 'e'].filter((name) => cache.get(service, get(`/${name}`), 60) !== undefined).join('')
  cache.put('two', get('/a'), answer('x'))
  for (const name of ['a', 'b', 'c', 'd', 'a', 'e']) cache.put('one', get(`/${name}`), answer('x'))
  expect(keys('one')).toBe('acde')
  expect(keys('two')).toBe('a')
  cache.put('one', get('/e'), answer('xxx'))
  expect(keys('one'), 'a longer answer takes the place of several').toBe('ae')
  // A reopened cache counts the stored entries.
  const again = new ServiceCache({ store, clock, bytesKept: 4 })
  again.put('one', get('/b'), answer('x'))
  expect(keys('one')).toBe('b')
})

test('a cache that goes on filling stays bounded', () => {
  const { cache, store } = openCache()
  store.transaction(() => {
    for (let i = 0; i < 10_600; i++) cache.put('s', get(`/${i}`), answer('x'))
  })
  const rows = store.orm.$client.prepare('SELECT count(*) FROM service_cache').pluck().get() as number
  expect(rows).toBe(10_000)
  expect(cache.get('s', get('/10599'), 60)).toBeDefined()
  expect(cache.get('s', get('/0'), 60)).toBeUndefined()
})

test('long answers are bounded by their bytes together, and the newest stay', () => {
  const store = openStore({ path: ':memory:' })
  const clock = new TestClock()
  const cache = new ServiceCache({ store, clock, bytesKept: 5_000_000 })
  const long = 'x'.repeat(1_000_000)
  for (let i = 0; i < 40; i++) cache.put('s', get(`/${i}`), answer(long))
  const bytes = store.orm.$client.prepare('SELECT sum(length(body)) FROM service_cache').pluck().get() as number
  expect(bytes).toBeLessThan(5_001_000)
  expect(cache.get('s', get('/39'), 60)).toBeDefined()
  expect(cache.get('s', get('/0'), 60)).toBeUndefined()
})

test('the cache answers before the placeholder, the placeholder before nothing', () => {
  const { cache } = openCache()
  const both = serviceWith({ cache: { ttl_s: 60 }, placeholder: { name: 'unknown' } })
  const placeholder = serviceWith({ placeholder: null })
  const none = serviceWith({})
  expect(findFallback(cache, 's', both, get('/a'))).toEqual({
    tier: 3,
    status: 200,
    contentType: 'application/json',
    body: Buffer.from('{"name":"unknown"}'),
  })
  cache.put('s', get('/a'), answer('cached'))
  expect(findFallback(cache, 's', both, get('/a'))).toEqual({ tier: 2, ...answer('cached') })
  expect(findFallback(cache, 's', placeholder, get('/a'))?.body.toString()).toBe('null')
  expect(findFallback(cache, 's', none, get('/a'))).toBeUndefined()
  expect([both, placeholder, none].map(fallbackTier)).toEqual([2, 3, null])
})

test('a cache that cannot be read is a miss', () => {
  const { cache, store } = openCache()
  const fault = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR' })
  const broken = new ServiceCache({
    clock: new TestClock(),
    store: { serviceCache: serviceCacheTable({ ...store, orm: withFaultyReads(store.orm, fault) }) },
  })
  cache.put('s', get('/a'), answer('yes'))
  expect(broken.get('s', get('/a'), 60)).toBeUndefined()
})

/** The real thing but for its reads, which no healthy disk lets fail. */
function withFaultyReads<T extends object>(orm: T, fault: Error): T {
  const statement = {
    from: () => statement,
    where: () => statement,
    orderBy: () => statement,
    prepare: () => ({
      all: () => [],
      get: () => {
        throw fault
      },
    }),
  }
  return new Proxy(orm, { get: (target, name) => (name === 'select' ? () => statement : Reflect.get(target, name)) })
}
