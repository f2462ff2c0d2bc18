/** Providers behind a real proxy and a certificate of one's own, as in a company's network. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as forward } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { chatFrames, whole } from '../support/provider.ts'
import { openTestRuntime, type TestRuntime } from '../support/runtime.ts'

const tls = resolve(import.meta.dirname, '../support/tls')

/** A provider at an https address whose certificate no system trusts. */
async function openTlsProvider(): Promise<string> {
  const files = { key: readFileSync(`${tls}/key.pem`), cert: readFileSync(`${tls}/cert.pem`) }
  const server = createTlsServer(files, async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const isStream = JSON.parse(Buffer.concat(chunks).toString()).stream === true
    response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' })
    response.end(isStream ? chatFrames() : whole('openai'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close().closeAllConnections())
  return `https://localhost:${(server.address() as AddressInfo).port}/v1`
}

/** A proxy that asks for a password, tunnels https and forwards http. */
async function openProxy(): Promise<{ url: string; port: number; asked: string[] }> {
  const asked: string[] = []
  const isAllowed = (header: string | undefined) => header === `Basic ${Buffer.from('ann:secret').toString('base64')}`
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    if (!isAllowed(request.headers['proxy-authorization'])) return void response.writeHead(407).end()
    const { method, headers } = request
    const onward = forward(request.url!, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  proxy.on('connect', ({ url, headers }, client) => {
    asked.push(`CONNECT ${url}`)
    if (!isAllowed(headers['proxy-authorization'])) return void client.end('HTTP/1.1 407 No\r\n\r\n')
    const target = connect(Number(url!.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connected\r\n\r\n')
      target.pipe(client).pipe(target)
    })
    for (const socket of [target, client]) socket.on('error', () => undefined)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  onTestFinished(() => void proxy.close().closeAllConnections())
  const { port } = proxy.address() as AddressInfo
  return { url: `http://ann:secret@127.0.0.1:${port}`, port, asked }
}

const onlyRow = (cage: TestRuntime) => cage.rows().map(({ state, cost_nanos }) => ({ state, cost: cost_nanos }))

test('https goes through the proxy in a tunnel, whole and streamed, with the certificates of ca_file', async () => {
  const [base_url, { url, asked }] = [await openTlsProvider(), await openProxy()]
  const network = { https_proxy: url, no_proxy: 'elsewhere', ca_file: `${tls}/cert.pem` }
  const cage = await openTestRuntime({ network, provider: { base_url } })
  const agent = cage.addAgent()
  const reply = await agent.chat()
  expect({ status: reply.status, text: reply.text }).toMatchObject({
    status: 200,
    text: expect.stringContaining('Hello.'),
  })
  const stream = await agent.chat({ stream: true })
  expect(stream.text).toContain('[DONE]')
  expect(new Set(asked)).toEqual(new Set([`CONNECT ${new URL(base_url).host}`]))
})

test('without ca_file a self-signed certificate is refused, and the call costs nothing', async () => {
  const cage = await openTestRuntime({ provider: { base_url: await openTlsProvider() } })
  const reply = await cage.addAgent().chat()
  expect(reply.status).toBe(502)
  expect(reply.text).toContain('DEPTH_ZERO_SELF_SIGNED_CERT')
  expect(onlyRow(cage)).toEqual([{ state: 'released', cost: 0 }])
})

test('http goes through its own proxy, and hosts of no_proxy through none', async () => {
  const { url, asked } = await openProxy()
  const through = await openTestRuntime({ network: { http_proxy: url, no_proxy: '' } })
  expect((await through.addAgent().chat()).status).toBe(200)
  expect(asked.length).toBe(1)
  const direct = await openTestRuntime({ network: { http_proxy: url, https_proxy: url } })
  expect((await direct.addAgent().chat()).status).toBe(200)
  expect(asked.length).toBe(1)
})

test('a proxy that refuses is named in the error, and the call costs nothing', async () => {
  const [base_url, { port }] = [await openTlsProvider(), await openProxy()]
  const network = { https_proxy: `http://127.0.0.1:${port}`, no_proxy: '', ca_file: `${tls}/cert.pem` }
  const cage = await openTestRuntime({ network, provider: { base_url } })
  const reply = await cage.addAgent().chat()
  expect(reply.status).toBe(502)
  expect(reply.text).toContain('the proxy refused a connection to openai (407)')
  expect(onlyRow(cage)).toEqual([{ state: 'released', cost: 0 }])
})
