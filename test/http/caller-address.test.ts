/** Whose request it is behind proxies. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { expect, onTestFinished, test } from 'vitest'
import { callerAddress, parseProxies } from '../../src/http/caller-address.ts'

test.each([
  ['', '203.0.113.7', '127.0.0.1'],
  ['10.0.0.0/8', '203.0.113.7', '127.0.0.1'],
  ['127.0.0.0/8', '203.0.113.7', '203.0.113.7'],
  ['127.0.0.1', '198.51.100.2, 203.0.113.7', '203.0.113.7'],
  ['127.0.0.1, 10.0.0.0/8', '198.51.100.2,203.0.113.7 , 10.1.2.3', '203.0.113.7'],
  ['127.0.0.1,10.0.0.0/8', '203.0.113.7, ::ffff:10.1.2.3', '203.0.113.7'],
  ['127.0.0.1,2001:db8::/32', '2001:db9::7, 2001:db8::1', '2001:db9::7'],
  ['127.0.0.1', undefined, '127.0.0.1'],
  ['127.0.0.1', '203.0.113.7, somebody', '127.0.0.1'],
  ['127.0.0.1,10.0.0.0/8', '10.1.2.3', '10.1.2.3'],
])('with the trusted proxies "%s", X-Forwarded-For "%s" makes %s the caller', async (trusted, forwarded, caller) => {
  const proxies = parseProxies(trusted)
  const app = new Hono().get('/', (context) => context.text(callerAddress(context, proxies)))
  const server = createServer(getRequestListener(app.fetch))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const headers = forwarded === undefined ? undefined : { 'x-forwarded-for': forwarded }
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { headers })
  expect(await answer.text()).toBe(caller)
})

test.each(['everybody', '0.0.0.0/0', '10.0.0.0/33', '10.0.0.0/', '::1/129', 'fe80::/-1', '10.0.0.0/8/8x'])(
  'trusted proxies cannot be "%s"',
  (list) => {
    expect(() => parseProxies(list)).toThrow(`got "${list}"`)
  },
)
