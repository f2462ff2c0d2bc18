/** Clients that offer another protocol with an ordinary call are answered over HTTP. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { openTestRuntime } from '../support/runtime.ts'

const run = promisify(execFile)

test("the JDK's HttpClient, which offers h2c, gets whole and streamed answers", async () => {
  const cage = await openTestRuntime()
  const { stdout } = await run('java', [join(import.meta.dirname, 'clients/JdkClient.java'), cage.addAgent().openai])
  const [whole, streamed] = stdout.trim().split('\n')
  expect(whole).toMatch(/^200 HTTP_1_1 \{.*"content":"Hello\."/)
  expect(streamed).toMatch(/^200 HTTP_1_1 data: .*"content":"Hello\.".*data: \[DONE\]/)
  expect(cage.provider.requests.map(({ headers }) => headers['http2-settings'])).toEqual([undefined, undefined])
  expect(cage.of('auth.failed')).toEqual([])
})

test('curl --http2 gets its answer', async () => {
  const cage = await openTestRuntime()
  cage.provider.does((response) => void response.end('{"object":"list","data":[]}'))
  const { stdout } = await run('curl', ['-sS', '--http2', '-w', '%{http_code}', `${cage.addAgent().openai}/models`])
  expect(stdout).toBe('{"object":"list","data":[]}200')
  expect(cage.of('auth.failed')).toEqual([])
})

test.each([
  { dialect: 'openai', path: '/realtime?model=gpt-realtime', shape: { error: { code: 'websocket_unsupported' } } },
  { dialect: 'anthropic', path: '/v1/messages', shape: { type: 'error' } },
] as const)('a WebSocket to $dialect is refused with a sentence, and is no alarm', async ({ dialect, path, shape }) => {
  const cage = await openTestRuntime()
  const socket = new WebSocket(cage.addAgent()[dialect].replace('http', 'ws') + path)
  const [, response] = await once(socket, 'unexpected-response')
  expect(response.statusCode).toBe(426)
  expect(response.headers.upgrade).toBe('HTTP/1.1')
  const body = JSON.parse((await response.toArray()).join(''))
  expect(body).toMatchObject(shape)
  expect(body.error.message).toContain('over HTTP only')
  socket.on('error', () => undefined).terminate()
  expect(cage.of('auth.failed')).toEqual([])
})

test("a client's hop-by-hop and method-override headers are not passed on", async () => {
  const cage = await openTestRuntime()
  const headers = {
    connection: 'keep-alive, x-hop',
    'x-hop': 'mine',
    'content-encoding': 'identity',
    'content-type': 'application/json; charset=utf-7',
    'x-http-method-override': 'DELETE',
    'x-original-url': '/files/file-1',
    'x-title': 'my app',
  }
  const call = request(`${cage.addAgent().openai}/chat/completions`, { method: 'POST', headers, agent: false })
  call.end('{"model":"penny","max_tokens":4,"messages":[]}')
  const [answer] = await once(call, 'response')
  expect(answer.resume().statusCode).toBe(200)
  const sent = cage.provider.requests[0]!.headers
  expect(sent).toMatchObject({ 'content-type': 'application/json', 'x-title': 'my app' })
  for (const name of ['x-hop', 'content-encoding', 'x-http-method-override', 'x-original-url']) {
    expect(sent).not.toHaveProperty(name)
  }
})
