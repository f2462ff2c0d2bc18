/** Answers of services that flow, and what agents send to them, through the whole program. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openTestRuntime, type RuntimeOptions } from '../../support/runtime.ts'

type Behaviour = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

async function openService(behave: Behaviour, settings: Record<string, unknown> = {}, more: RuntimeOptions = {}) {
  const seen: { url: string | undefined; headers: IncomingMessage['headers']; body: Buffer }[] = []
  const server = createServer((request, response) => {
    response.on('error', () => {})
    void buffer(request).then((body) => {
      seen.push({ url: request.url, headers: request.headers, body })
      behave(request, response, body)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const base_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const service = { base_url, cost_per_call_usd: '0.10', retries: 0, breaker: { failures: 1 }, ...settings }
  const cage = await openTestRuntime({ ...more, services: { feed: service } })
  const agent = cage.addAgent()
  const begin = async (options: Parameters<typeof sendRequest>[1] = {}, body: Buffer | string = '') => {
    const request = sendRequest(`${cage.url}/gateway/${agent.token}/services/feed/x`, { agent: false, ...options })
    request.end(body)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return response
  }
  return { cage, agent, begin, seen, called: async () => (await cage.event('service.called')).data }
}

const REDACTED = { redact: ['replies'] }
const events = { 'content-type': 'text/event-stream' }
const json = { 'content-type': 'application/json' }

describe('an answer that flows', () => {
  test.each([{}, REDACTED])('has its first event seen while the service holds its end, with %o', async (settings) => {
    const held = Promise.withResolvers<ServerResponse>()
    const { begin, agent } = await openService((_, response) => {
      response.writeHead(200, events).write('data: mail ann@acme-corp.com\n\n')
      held.resolve(response)
    }, settings)
    const response = await begin()
    const [first] = (await once(response, 'data')) as [Buffer]
    expect(first.toString()).toMatch(/^data: mail \S+\n\n$/)
    expect(first.includes('@acme-corp')).toBe(settings !== REDACTED)
    ;(await held.promise).end('data: end\n\n')
    expect(await text(response)).toBe('data: end\n\n')
    await expect.poll(() => agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
  })

  test('is held back by a slow reader, who is no fault of the service', { timeout: 30_000 }, async () => {
    let written = 0
    const { begin, called } = await openService(
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream' })
        const piece = Buffer.alloc(1_000_000)
        const more = () => {
          if (written === 100) return void response.end()
          written += 1
          response.write(piece, more)
        }
        more()
      },
      { timeout_s: 1 },
    )
    const response = await begin()
    await once(response, 'readable')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(written).toBeLessThan(30)
    expect((await buffer(response)).length).toBe(100_000_000)
    expect(await called()).toMatchObject({ ok: true, cost_usd: '0.1' })
  })

  test.each([{}, REDACTED])('is cut where the service breaks it, charged, and counts, with %o', async (settings) => {
    const held = Promise.withResolvers<ServerResponse>()
    const { begin, agent, cage } = await openService((_, response) => {
      response.writeHead(200, events).write('data: 1\n\n')
      held.resolve(response)
    }, settings)
    const response = await begin()
    await once(response, 'data')
    const cut = once(response, 'end')
    ;(await held.promise).destroy()
    await expect(cut).rejects.toThrow('aborted')
    expect((await cage.event('service.called')).data).toMatchObject({ ok: false, cost_usd: '0.1' })
    expect(cage.of('circuit.opened')).toHaveLength(1)
    expect(agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
  })

  test('is paid by a client that leaves before its end', async () => {
    const { begin, agent, cage } = await openService(
      (_, response) => void response.writeHead(200, events).write('data: 1\n\n'),
    )
    const response = await begin()
    await once(response, 'data')
    response.destroy()
    expect((await cage.event('service.called')).data).toMatchObject({ cost_usd: '0.1' })
    expect(agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
    expect(cage.of('circuit.opened')).toEqual([])
  })

  test('keeps its length where nothing is redacted', async () => {
    const body = Buffer.alloc(3_000_000, 'x')
    const { begin } = await openService((_, response) => {
      response.writeHead(200, { 'content-type': 'application/pdf', 'content-length': body.length }).end(body)
    }, REDACTED)
    const response = await begin()
    expect(response.headers['content-length']).toBe('3000000')
    expect((await buffer(response)).equals(body)).toBe(true)
  })

  test('has HEAD, ranges, and answers without a body as the service gives them', async () => {
    const { begin, seen } = await openService(({ method, headers }, response) => {
      if (method === 'DELETE') return void response.writeHead(204).end()
      if (headers['if-none-match'])
        return void response.writeHead(304, { etag: '"1"', 'content-encoding': 'gzip' }).end()
      const range = { 'content-range': 'bytes 0-3/10', 'content-length': '4' }
      response.writeHead(206, {
        ...range,
        'content-type': 'text/plain',
        ...(method === 'HEAD' && { 'content-encoding': 'gzip' }),
      })
      response.end(method === 'HEAD' ? undefined : 'abcd')
    }, REDACTED)
    const part = await begin({ headers: { range: 'bytes=0-3' } })
    expect([part.statusCode, part.headers['content-range'], await text(part)]).toEqual([206, 'bytes 0-3/10', 'abcd'])
    expect(seen[0]!.headers.range).toBe('bytes=0-3')
    expect((await begin({ method: 'HEAD' })).statusCode).toBe(206)
    expect((await begin({ method: 'DELETE' })).statusCode).toBe(204)
    expect((await begin({ headers: { 'if-none-match': '"1"' } })).statusCode).toBe(304)
    const plain = await openService((_, response) => void response.writeHead(200, { 'content-length': '77' }).end())
    expect((await plain.begin({ method: 'HEAD' })).headers['content-length']).toBe('77')
  })
})

describe('a redacted answer', () => {
  const stream = 'data: {"mail":"ann@acme-corp.com","card":4242424242424242}\n\ndata: nothing\n\n'

  test('is the same however its stream is cut', { timeout: 30_000 }, async () => {
    const { begin } = await openService(({ headers }, response) => {
      const at = Number(headers['x-cut'])
      response.writeHead(200, events).write(stream.slice(0, at))
      setTimeout(() => response.end(stream.slice(at)), 3)
    }, REDACTED)
    const answers = new Set<string>()
    for (let at = 1; at < stream.length; at++)
      answers.add(await text(await begin({ headers: { 'x-cut': String(at) } })))
    expect(answers.size).toBe(1)
    const [only] = answers
    expect(only).not.toMatch(/ann@|4242/)
    expect(only).toMatch(/\n\ndata: nothing\n\n$/)
    expect(() => JSON.parse(only!.split('\n')[0]!.slice(6))).not.toThrow()
  })

  test.each([
    ['identity', (body: Buffer) => body],
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('is read in the encoding %s, and stays JSON', async (encoding, encode) => {
    const body = encode(
      Buffer.from('{"phone": 4155550132, "card": 4242424242424242, "to": "ann@acme-corp.com", "n": 7}'),
    )
    const head = {
      ...json,
      'content-length': body.length,
      ...(encoding !== 'identity' && { 'content-encoding': encoding }),
    }
    const { begin, called } = await openService((_, response) => void response.writeHead(200, head).end(body), REDACTED)
    const response = await begin()
    const answer = JSON.parse(await text(response))
    expect(answer).toMatchObject({ card: '[CREDIT_CARD_REDACTED]', to: '[EMAIL_REDACTED]', n: 7 })
    expect(response.headers).not.toHaveProperty('content-encoding')
    expect(await called()).not.toHaveProperty('uninspected')
  })

  test('in an unknown encoding is refused, and paid', async () => {
    const { begin, agent } = await openService(
      (_, response) => void response.writeHead(200, { ...json, 'content-encoding': 'lzw' }).end('??'),
      REDACTED,
    )
    const response = await begin()
    expect([response.statusCode, JSON.parse(await text(response)).error.code]).toEqual([502, 'reply_encoding'])
    expect(agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
  })

  test('in another charset keeps its other bytes', async () => {
    const body = Buffer.from('caf\u00e9 ann@acme-corp.com', 'latin1')
    const head = { 'content-type': 'text/plain; charset=ISO-8859-1' }
    const { begin } = await openService((_, response) => void response.writeHead(200, head).end(body), REDACTED)
    expect((await buffer(await begin())).toString('latin1')).toBe('caf\u00e9 [EMAIL_REDACTED]')
  })

  test('of another type passes, and its call says so', async () => {
    const { begin, called } = await openService(
      (_, response) => void response.writeHead(200, { 'content-type': 'image/png' }).end('ann@acme-corp.com'),
      REDACTED,
    )
    expect(await text(await begin())).toBe('ann@acme-corp.com')
    expect(await called()).toMatchObject({ uninspected: true })
  })

  test('that is blocked is paid, whether it was whole or flowed', async () => {
    const block = { safety: { mode: 'block' } }
    const whole = await openService(
      (_, response) => void response.writeHead(200, json).end('"ann@acme-corp.com"'),
      REDACTED,
      block,
    )
    expect((await whole.begin()).statusCode).toBe(422)
    expect(whole.agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
    const flowing = await openService(
      (_, response) => void response.writeHead(200, events).write('data: ann@acme-corp.com\n\n'),
      REDACTED,
      block,
    )
    const response = await flowing.begin()
    let got = ''
    response.on('data', (piece) => {
      got += piece
    })
    await once(response, 'close').catch(() => {})
    expect(got).not.toContain('ann@')
    expect(flowing.agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
    expect(flowing.cage.of('pii.found')).toHaveLength(1)
  })
})

describe('a redacted request', () => {
  const settings = { redact: ['requests'] }
  const ok: Behaviour = (_, response) => void response.writeHead(200, json).end('{}')

  test.each([
    [
      'JSON',
      json,
      '{"to":"ann@acme-corp.com","card":4242424242424242}',
      '{"to":"[EMAIL_REDACTED]","card":"[CREDIT_CARD_REDACTED]"}',
    ],
    [
      'a form',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'to=ann%40acme-corp.com&n=1+2',
      'to=%5BEMAIL_REDACTED%5D&n=1+2',
    ],
    ['text', { 'content-type': 'text/plain' }, 'to ann@acme-corp.com', 'to [EMAIL_REDACTED]'],
  ])('is sent without personal data as %s, encoded or not', async (_, headers, body, safe) => {
    const { begin, seen } = await openService(ok, settings)
    const encodings = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync }
    expect((await begin({ method: 'POST', headers }, body)).statusCode).toBe(200)
    for (const [encoding, encode] of Object.entries(encodings)) {
      const response = await begin(
        { method: 'POST', headers: { ...headers, 'content-encoding': encoding } },
        encode(body),
      )
      expect(response.statusCode).toBe(200)
    }
    expect(seen.map((each) => each.body.toString())).toEqual([safe, safe, safe, safe])
    expect(seen.every((each) => each.headers['content-encoding'] === undefined)).toBe(true)
    expect(seen.every((each) => each.headers['content-length'] === String(safe.length))).toBe(true)
  })

  test('in an unknown encoding is not sent', async () => {
    const { begin, seen, agent } = await openService(ok, settings)
    const headers = { ...json, 'content-encoding': 'lzw' }
    expect((await begin({ method: 'POST', headers }, '??')).statusCode).toBe(415)
    expect(seen).toEqual([])
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('is refused in mode block, and nothing is sent or paid', async () => {
    const { begin, seen, agent } = await openService(ok, settings, { safety: { mode: 'block' } })
    const response = await begin({ method: 'POST', headers: json }, '{"to":"ann@acme-corp.com"}')
    expect([response.statusCode, JSON.parse(await text(response)).error.code]).toEqual([422, 'pii_blocked'])
    expect(seen).toEqual([])
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('stays encoded to a service whose requests are not redacted', async () => {
    const { begin, seen } = await openService(ok)
    const body = gzipSync('{"to":"ann@acme-corp.com"}')
    await begin({ method: 'POST', headers: { ...json, 'content-encoding': 'gzip' } }, body)
    expect(seen[0]!.body.equals(body)).toBe(true)
    expect(seen[0]!.headers['content-encoding']).toBe('gzip')
  })
})

test('a method that is not listed is refused before anything is sent', async () => {
  const { begin, seen, agent } = await openService((_, response) => void response.end(), { methods: ['GET'] })
  expect((await begin({ method: 'POST' }, 'x')).statusCode).toBe(405)
  expect((await begin()).statusCode).toBe(200)
  expect(seen).toHaveLength(1)
  expect(agent.balance()).toMatchObject({ spent: '0.1' })
})
