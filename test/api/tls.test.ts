/** Our own port, encrypted for all but this machine's agents and commands. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as encryptedRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { freePort } from '../support/free-port.ts'
import { openTestRuntime, send, type TestRuntime } from '../support/runtime.ts'

const TLS = new URL('../support/tls', import.meta.url).pathname
const CA = readFileSync(join(TLS, 'cert.pem'))
/** Another address of this machine, as others would use one. */
const HOST = '127.0.0.2'

async function open(): Promise<{ cage: TestRuntime; port: number; cert: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-tls-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  copyFileSync(join(TLS, 'cert.pem'), cert)
  copyFileSync(join(TLS, 'key.pem'), key)
  const port = await freePort()
  return { cage: await openTestRuntime({ server: { host: HOST, port, tls: { cert, key } } }), port, cert }
}

/** A request from elsewhere, by the name that the certificate has. */
const ask = (
  port: number,
  path: string,
  body?: object,
  headers: object = {},
): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const options = { host: HOST, port, path, ca: CA, servername: 'localhost', method: body ? 'POST' : 'GET' }
    const sent = encryptedRequest({ ...options, headers: { 'content-type': 'application/json', ...headers } })
    sent.on('error', reject)
    sent.on('response', async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ status: response.statusCode!, text })
    })
    sent.end(body && JSON.stringify(body))
  })

test('calls, the API and the live view are encrypted for others; the agents of this machine need no certificate', async () => {
  const { cage, port } = await open()
  expect(cage.runtime.url).toBe(`https://${HOST}:${port}`)
  expect((await ask(port, '/api/health')).text).toContain('ok')
  // The dashboard's own origin, and no other.
  const origin = (name: string) => ask(port, '/api/version', undefined, { origin: `https://${name}:${port}` })
  expect([(await origin(HOST)).status, (await origin('evil.example')).status]).toEqual([200, 403])
  const { access_token: token } = await cage.login()
  const created = (await cage.post('/api/tokens', { name: 'away', role: 'agent', budget_usd: '1' }, token)).json()
  const called = await ask(
    port,
    '/gateway/openai/v1/chat/completions',
    { model: 'penny', max_tokens: 4, messages: [{ role: 'user', content: 'Say hello.' }] },
    { authorization: `Bearer ${String(created.token)}` },
  )
  expect(called).toMatchObject({ status: 200, text: expect.stringContaining('Hello.') as string })
  expect((await cage.addAgent().chat()).status).toBe(200)
  const socket = new WebSocket(`wss://${HOST}:${port}/ws`, [], { ca: CA, servername: 'localhost' } as object)
  const status = await new Promise((resolve) =>
    socket.once('unexpected-response', (_, { statusCode }) => resolve(statusCode)),
  )
  // Without a ticket it is refused, by the live view itself.
  expect(status).toBe(401)
})

test('a client from outside gets no answer without TLS', async () => {
  const { port } = await open()
  await expect(send(`http://${HOST}:${port}/api/health`, {})).rejects.toThrow()
})

test('a client of HTTP/2 is offered HTTP/1.1', async () => {
  const { port } = await open()
  const socket = connect({ host: HOST, port, ca: CA, servername: 'localhost', ALPNProtocols: ['h2', 'http/1.1'] })
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  expect(socket.alpnProtocol).toBe('http/1.1')
  socket.destroy()
})

test('a certificate that cannot be used is a fault of the configuration', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-tls-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const cert = join(folder, 'cert.pem')
  writeFileSync(cert, 'none')
  const opening = openTestRuntime({ server: { host: HOST, tls: { cert, key: join(TLS, 'key.pem') } } })
  await expect(opening).rejects.toMatchObject({
    code: 'invalid_config',
    message: expect.stringContaining('server.tls'),
  })
})
