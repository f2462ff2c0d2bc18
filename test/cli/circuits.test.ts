import { expect, test } from 'vitest'
import { openPlace } from './support.ts'

/** Calls a service that cannot be reached. */
const SERVICE_CALLER = `await fetch(process.env.IRON_CAGE_GATEWAY_URL + '/services/gone')`

test('a server does not know the sandboxes of agents to come; calls of services reach the gateway; an open circuit is tried by the next call', async () => {
  const place = openPlace()
  const breaker = '{ failures: 1, cooldown_s: 0.001 }'
  place.write('iron-cage.yaml', `services: { gone: { base_url: "http://127.0.0.1:9", breaker: ${breaker} } }\n`)
  place.write('caller.mjs', SERVICE_CALLER)
  place.write('idle.mjs', '')
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  expect(server.out).toContain('with their own key: seen or stopped as the sandbox of each says\n')
  expect((await place.run(['start', 'caller.mjs'])).out).toMatch(/Calls +0 completed, 0 failed\n/)
  expect((await place.run(['start', 'idle.mjs'])).out).toContain('none reached the gateway')
  expect((await place.type(['circuits', 'list'])).out).toMatch(/^gone +open +next call +1 /m)
})

test('circuits are listed, held open and reset; of services, providers and models', async () => {
  const place = openPlace()
  place.write('iron-cage.yaml', 'services: { crm: { base_url: "http://127.0.0.1:9" } }\n')
  const server = place.start(['serve', '--port', '0'])
  await server.shows('#code=')
  expect(await place.type(['circuits', 'list'])).toMatchObject({
    code: 0,
    out: '',
    err: 'nothing has been called here yet\n',
  })
  expect(await place.type(['circuits', 'open', 'crm'])).toMatchObject({ code: 0, out: 'crm  open\n' })
  expect(await place.type(['circuits', 'open', 'openai/gpt-4'])).toMatchObject({ code: 0, out: 'openai/gpt-4  open\n' })
  const { out } = await place.type(['circuits', 'list'])
  expect(out).toMatch(/^CIRCUIT +STATE +NEXT TRY +TRIPS +LAST TRIP +BLOCKED +SAVED +FALLBACKS +REASON\n/)
  expect(out).toMatch(/^crm +open \(held\) +- +0 +- +0 +\$0\.00 +- +opened by \S+$/m)
  expect(await place.type(['circuits', 'reset', 'crm'])).toMatchObject({ code: 0, out: 'crm  closed\n' })
  expect(JSON.parse((await place.type(['circuits', 'list', '--json'])).out)).toMatchObject([
    { name: 'crm', state: 'closed', forced: false, countdown_s: null, fallback_success: null },
    { name: 'openai/gpt-4', state: 'open', forced: true },
  ])
  expect(await place.type(['circuits', 'open', 'nobody'])).toMatchObject({
    code: 5,
    err: expect.stringContaining('there is no circuit "nobody"'),
  })
})
