/**
 * Nothing personal leaves in clear: one e-mail address, one phone number, one card and one key go in by every entry of
 * the program, and after each nothing of them is in any file of the folder, any frame, any answer, any line of the
 * terminal. An agent's own data that is returned to it (a service's answer, a checkpoint) is no leak to the agent; to a
 * file it is.
 */
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { findPii } from '../src/redaction/redactor.ts'
import { openPlace } from './cli/support.ts'
import { answer, sends, streams, whole } from './support/provider.ts'
import { openTestRuntime, type Reply, type TestAgent, type TestRuntime, until } from './support/runtime.ts'

const EMAIL = 'jane.canary@northwind-traders.com'
const PHONE = '+1 415-733-2671'
const CARD = '4539 1488 0343 6467'
const SECRET = 'ghp_Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTe'
const LINE = `Ask ${EMAIL} or ${PHONE}, card ${CARD}, key ${SECRET}.`

/** However they are written: a part that gives one away is enough. */
const TRACES = [
  'jane.canary',
  'northwind-traders',
  '415-733-2671',
  '4157332671',
  '4539 1488',
  '4539148803436467',
  'ghp_Zx8Qw3',
  '9Rt2Vb7Nm4Hj6Fd1',
]

/** The canaries that are in a text, also in bytes read as latin1. */
const tracesIn = (text: string): string[] => TRACES.filter((trace) => text.includes(trace))

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
    // The next head of the audit takes the name of the last one whenever it likes.
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.next'))
    .map((entry) => join(entry.parentPath, entry.name))

/** Files with canaries, less those that a test itself has put there. */
const leaksInFiles = (folder: string, own: readonly string[] = []): string[] =>
  filesBelow(folder)
    .filter((path) => !own.some((name) => path.endsWith(name)))
    .flatMap((path) =>
      tracesIn(readFileSync(path, 'latin1')).map((trace) => `${path.slice(folder.length + 1)}: ${trace}`),
    )

test('the redactor finds every canary as its type', () => {
  expect(findPii(LINE).map(({ type }) => type)).toEqual(['email', 'phone', 'credit_card', 'secret'])
  expect(tracesIn(LINE)).toHaveLength(6)
})

/** A cage with everything on, and all its outputs. */
interface Watched {
  cage: TestRuntime
  agent: TestAgent
  admin: string
  frames: string[]
  webhooks: string[]
}

async function openWatched(safety: Record<string, unknown> = {}): Promise<Watched> {
  const webhooks: string[] = []
  const outside = createServer(async (request, response) => {
    const body = await text(request).catch(() => undefined)
    if (request.url === '/hook' && body !== undefined) webhooks.push(body)
    const status = request.url?.startsWith('/broken') ? 500 : request.url?.startsWith('/refused') ? 404 : 200
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ found: LINE }))
  })
  outside.listen(0, '127.0.0.1')
  await once(outside, 'listening')
  const outsideUrl = `http://127.0.0.1:${(outside.address() as AddressInfo).port}`
  onTestFinished(() => {
    outside.closeAllConnections()
    outside.close()
  })
  const service = { base_url: outsideUrl, retries: 0, fallback: { cache: {} } }
  const cage = await openTestRuntime({
    log: { level: 'debug' },
    safety,
    services: { crm: service, down: { ...service, base_url: 'http://127.0.0.1:9' } },
    alerts: { webhooks: [{ url: `${outsideUrl}/hook` }] },
    provider: { retries: 0 },
    faults: /./,
  })
  const { access_token: admin } = await cage.login()
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, admin)).json() as { ticket: string }
  const frames: string[] = []
  const socket = new WebSocket(`${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}`, { origin: cage.url })
  socket.on('message', (data: Buffer) => frames.push(data.toString()))
  await once(socket, 'open')
  onTestFinished(() => socket.terminate())
  return { cage, agent: cage.addAgent({ limit: '1000' }), admin, frames, webhooks }
}

/** Everything that can be seen from outside, with its name; `answer` is the reply to this entry itself. */
async function leaks({ cage, agent, admin, frames, webhooks }: Watched, answers: string): Promise<string[]> {
  // The screen has seen all there is.
  const { seq } = cage.runtime.state.read()
  await until(() => frames.some((frame) => frame.includes(`"seq":${seq}`)), 'the last event is on the screen')
  const asked = [
    '/api/events?limit=1000',
    '/api/snapshot',
    '/api/pii/incidents',
    '/api/alerts',
    '/api/circuits',
    '/api/agents',
    '/api/tokens',
    '/api/audit',
    '/api/audit/export',
    `/api/agents/${agent.id}/calls`,
    `/api/agents/${agent.id}/status`,
    `/api/agents/${agent.id}/metrics`,
  ]
  const seen: [string, string][] = [
    ['the answer', answers],
    ['a frame', frames.join('\n')],
    ['a webhook', webhooks.join('\n')],
  ]
  for (const path of asked) seen.push([path, (await cage.get(path, admin)).text])
  return [
    ...seen.flatMap(([where, text]) => tracesIn(text).map((trace) => `${where}: ${trace}`)),
    ...leaksInFiles(cage.folder),
  ]
}

const json = { 'content-type': 'application/json' }
const toolCall = (args: string) =>
  sends(200, json, {
    id: 'c',
    object: 'chat.completion',
    model: 'penny',
    choices: [
      {
        index: 0,
        finish_reason: 'tool_calls',
        message: {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'send', arguments: args } }],
        },
      },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  })
const chunk = (delta: object, more: object = {}) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`
const anthropicFrame = (event: { type: string }) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
const BLOCK_START = anthropicFrame({
  type: 'content_block_start',
  index: 0,
  content_block: { type: 'text', text: '' },
} as { type: string })
const textDelta = (text: string) =>
  anthropicFrame({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } } as { type: string })
const pieces = (text: string) => text.match(/.{1,5}/gs)!

/** The other two routes of OpenAI on which models speak. */
const OTHER_CALL = { model: 'penny', max_output_tokens: 4, max_tokens: 4, input: 'Hello', prompt: 'Hello' }
const OTHER_USAGE = { input_tokens: 1, output_tokens: 1, prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
const response = (text: string) => ({
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  output: [{ type: 'message', id: 'm', role: 'assistant', content: [{ type: 'output_text', text, annotations: [] }] }],
  usage: OTHER_USAGE,
})
const OTHER_REPLIES = {
  responses: response,
  completions: (text: string) => ({
    id: 'c',
    object: 'text_completion',
    choices: [{ index: 0, text, finish_reason: 'stop' }],
    usage: OTHER_USAGE,
  }),
}
const typed = (event: object & { type: string }) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
const OTHER_FRAMES = {
  responses: (texts: string[]) => [
    ...texts.map((delta) =>
      typed({ type: 'response.output_text.delta', item_id: 'm', output_index: 0, content_index: 0, delta } as {
        type: string
      }),
    ),
    typed({
      type: 'response.output_text.done',
      item_id: 'm',
      output_index: 0,
      content_index: 0,
      text: texts.join(''),
    } as { type: string }),
    typed({ type: 'response.completed', response: response(texts.join('')) } as { type: string }),
  ],
  completions: (texts: string[]) => [
    ...texts.map(
      (text) => `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, text, finish_reason: null }] })}\n\n`,
    ),
    `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, text: '', finish_reason: 'stop' }] })}\n\n`,
    'data: [DONE]\n\n',
  ],
}

type Ask = (watched: Watched) => Promise<Reply | Reply[] | string>
const run =
  (path: string, body: unknown, method: 'POST' | 'PUT' = 'POST'): Ask =>
  ({ cage, agent }) =>
    cage.post(`/api/run${path}`, body, agent.token, method)

const ENTRIES: [name: string, ask: Ask][] = [
  ...(['openai', 'anthropic'] as const).flatMap((dialect): [string, Ask][] => [
    [
      `a whole reply of ${dialect}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(answer({ text: LINE }))
        return agent.call(dialect)
      },
    ],
    [
      `a streamed reply of ${dialect}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(answer({ text: pieces(LINE) }))
        return agent.call(dialect, { stream: true })
      },
    ],
    [
      `a stream of ${dialect} that breaks in the middle of a datum`,
      ({ cage, agent }) => {
        const text = pieces(LINE.slice(0, -12))
        const frames =
          dialect === 'openai' ? text.map((content) => chunk({ content })) : [BLOCK_START, ...text.map(textDelta)]
        cage.provider.doesOnce(streams(frames, 'resets'))
        return agent.call(dialect, { stream: true })
      },
    ],
    [
      `a header of ${dialect}`,
      ({ cage, agent }) => {
        const body = whole(dialect)
        cage.provider.doesOnce(sends(200, { ...json, 'x-request-id': EMAIL, 'openai-organization': SECRET }, body))
        return agent.call(dialect)
      },
    ],
    ...[400, 401, 429, 500].map((status): [string, Ask] => [
      `an error ${status} of ${dialect}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(
          sends(status, { ...json, 'x-request-id': EMAIL }, { error: { message: LINE, type: 'x', code: EMAIL } }),
        )
        return agent.call(dialect)
      },
    ]),
    [
      `an error of ${dialect} that is no JSON`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(sends(502, { 'content-type': 'text/html' }, `<h1>${LINE}</h1>`))
        return agent.call(dialect)
      },
    ],
    [
      `a good status of ${dialect} with what is no JSON`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(sends(200, json, LINE))
        return agent.call(dialect)
      },
    ],
    [
      `an error in a stream of ${dialect}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(
          streams([`event: error\ndata: ${JSON.stringify({ type: 'error', error: { message: LINE } })}\n\n`]),
        )
        return agent.call(dialect, { stream: true })
      },
    ],
    [
      `a frame of ${dialect} that is no JSON`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(streams([`data: ${LINE}\n\n`]))
        return agent.call(dialect, { stream: true })
      },
    ],
    [
      `a name of a fine-tuned model of ${dialect}`,
      ({ agent }) => agent.call(dialect, { model: `ft:gpt-4o-mini-2024-07-18:northwind:${EMAIL}:${SECRET}` }),
    ],
    [`a name of a model of ${dialect}`, ({ agent }) => agent.call(dialect, { model: LINE })],
    [`a field of ${dialect} that is wrong`, ({ agent }) => agent.call(dialect, { max_tokens: LINE, n: LINE })],
    [
      `a body of ${dialect} that is no JSON`,
      ({ agent }) => (dialect === 'openai' ? agent.chat(LINE) : agent.message(LINE)),
    ],
  ]),
  [
    'the arguments of a tool',
    ({ cage, agent }) => {
      cage.provider.doesOnce(toolCall(JSON.stringify({ to: EMAIL, phone: PHONE, card: CARD, key: SECRET })))
      return agent.chat()
    },
  ],
  [
    'the arguments of a tool in a stream',
    ({ cage, agent }) => {
      const args = pieces(JSON.stringify({ to: EMAIL, phone: PHONE, card: CARD, key: SECRET }))
      cage.provider.doesOnce(
        streams([
          ...args.map((part) => chunk({ tool_calls: [{ index: 0, function: { arguments: part } }] })),
          chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] }),
          'data: [DONE]\n\n',
        ]),
      )
      return agent.chat({ stream: true })
    },
  ],
  ...(['responses', 'completions'] as const).flatMap((route): [string, Ask][] => [
    [
      `a whole reply of ${route}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(sends(200, json, OTHER_REPLIES[route](LINE)))
        return agent.send('openai', 'POST', `/v1/${route}`, JSON.stringify({ ...OTHER_CALL }))
      },
    ],
    [
      `a streamed reply of ${route}`,
      ({ cage, agent }) => {
        cage.provider.doesOnce(streams(OTHER_FRAMES[route](pieces(LINE))))
        return agent.send('openai', 'POST', `/v1/${route}`, JSON.stringify({ ...OTHER_CALL, stream: true }))
      },
    ],
  ]),
  [
    'a list of models',
    ({ cage, agent }) => {
      cage.provider.doesOnce(sends(200, json, { data: [{ id: LINE }] }))
      return agent.send('openai', 'GET', '/v1/models')
    },
  ],
  [
    'an address of a provider that there is none of',
    ({ agent }) => agent.send(encodeURIComponent(EMAIL), 'GET', `/v1/${SECRET}`),
  ],
  [
    'a route of a provider that has no price',
    ({ agent }) => agent.send('openai', 'POST', `/v1/${EMAIL}/${SECRET}?q=${encodeURIComponent(LINE)}`, '{}'),
  ],
  [
    'a gateway address with a token that is none',
    ({ cage }) => cage.get(`/gateway/${SECRET}/openai/v1/models?who=${EMAIL}`),
  ],
  ['a label of progress', run('/progress', { done: 1, total: 2, label: LINE, unit: EMAIL })],
  ['an outcome', run('/outcomes', { outcome: 'failed', label: LINE, reason: LINE, unit: PHONE })],
  [
    'an event',
    run('/events', {
      level: 'ERROR',
      message: LINE,
      data: { [EMAIL]: LINE, deep: [{ phone: PHONE, card: Number(CARD.replaceAll(' ', '')) }] },
    }),
  ],
  ['a charge', run('/charges', { service: 'serp_api', cost_usd: '0.01', description: LINE })],
  ['a charge for a service named so', run('/charges', { service: SECRET, cost_usd: '0.01' })],
  ['a charge of no amount', run('/charges', { service: LINE, cost_usd: LINE })],
  ['a checkpoint', run('/checkpoint', { data: { last: LINE } }, 'PUT')],
  ['a text that is scanned', run('/scan', { text: LINE })],
  ['a body of the run API that is wrong', run('/progress', { done: LINE, [EMAIL]: 1 })],
  ['a body of the run API that is no JSON', run('/progress', LINE)],
  ...(['found', 'refused', 'broken'] as const).map((path): [string, Ask] => [
    `a call of a service that has ${path}`,
    async ({ agent }) => {
      await agent.service(
        'crm',
        `/${path}?email=${encodeURIComponent(EMAIL)}&phone=${encodeURIComponent(PHONE)}&key=${SECRET}`,
      )
      return 'the answer is the agent’s own'
    },
  ]),
  ['a call of a service that is not there', ({ agent }) => agent.service('down', `/people/${EMAIL}?key=${SECRET}`)],
  ['a service that there is none of', ({ agent }) => agent.service(SECRET, `/${EMAIL}`)],
  [
    'an address of the API',
    ({ cage, admin }) => cage.get(`/api/${EMAIL}/${SECRET}?phone=${encodeURIComponent(PHONE)}`, admin),
  ],
  ['an address of the API without a token', ({ cage }) => cage.get(`/api/agents/${EMAIL}/status?key=${SECRET}`)],
  [
    'an agent that there is none of',
    ({ cage, admin }) => cage.get(`/api/agents/${encodeURIComponent(LINE)}/status`, admin),
  ],
  ['a token that is none', ({ cage }) => cage.get('/api/snapshot', SECRET)],
  ['a code that is none', ({ cage }) => cage.post('/api/auth/exchange', { code: LINE })],
  [
    'a query that is wrong',
    ({ cage, admin }) =>
      cage.get(`/api/events?limit=${encodeURIComponent(LINE)}&level=${encodeURIComponent(LINE)}`, admin),
  ],
  [
    'an amount that is none',
    ({ cage, agent, admin }) => cage.post(`/api/agents/${agent.id}/budget`, { limit_usd: LINE }, admin, 'PATCH'),
  ],
  [
    'a body of the API that is wrong',
    ({ cage, admin }) => cage.post('/api/tokens', { name: LINE.repeat(3), role: LINE, [EMAIL]: 1 }, admin),
  ],
  ['a name of a token', ({ cage, admin }) => cage.post('/api/tokens', { name: EMAIL, role: 'viewer' }, admin)],
  ['a name of a client', ({ cage, admin }) => cage.post('/api/tokens', { name: EMAIL }, admin)],
  [
    'a circuit that there is none of',
    ({ cage, admin }) => cage.post(`/api/circuits/${encodeURIComponent(EMAIL)}/reset`, {}, admin),
  ],
  [
    'an alert that there is none of',
    ({ cage, admin }) => cage.post(`/api/alerts/${encodeURIComponent(SECRET)}/ack`, {}, admin),
  ],
  [
    'a token to revoke that there is none of',
    ({ cage, admin }) => cage.post(`/api/tokens/${encodeURIComponent(EMAIL)}`, {}, admin),
  ],
  [
    'a request that the door refuses',
    ({ cage }) =>
      new Promise((done, fail) => {
        const request = httpRequest(cage.url, {
          path: `/${EMAIL}/${SECRET}?x=${PHONE.replace(/ /g, '')}`,
          headers: { host: EMAIL, origin: `https://${EMAIL}` },
        })
        request.on('error', fail).on('response', async (response) => {
          done(String(Buffer.concat(await response.toArray())))
        })
        request.end()
      }),
  ],
  [
    'an exception whose text contains it',
    async ({ cage }) => {
      const error = new Error(LINE, { cause: new Error(LINE) })
      cage.runtime.log.logger.error({ error, path: LINE }, `it broke: ${LINE}`)
      return ''
    },
  ],
]

describe('inside the server', () => {
  test.each(ENTRIES)('%s leaves nothing in clear', async (_name, ask) => {
    const watched = await openWatched()
    const replies = await ask(watched)
    const answers = [replies]
      .flat()
      .map((reply) => (typeof reply === 'string' ? reply : `${JSON.stringify(reply.headers)}\n${reply.text}`))
    // The log is written behind.
    expect(await leaks(watched, answers.join('\n'))).toEqual([])
    await watched.cage.close()
    expect(leaksInFiles(watched.cage.folder)).toEqual([])
  })

  test.each(['block', 'warn'])('%s replies leave nothing in clear but, if at all, to the agent', async (mode) => {
    const watched = await openWatched({ mode, scope: ['replies', 'tool_arguments', 'logs', 'requests'] })
    for (const dialect of ['openai', 'anthropic'] as const) {
      for (const stream of [false, true]) {
        watched.cage.provider.doesOnce(answer({ text: pieces(LINE) }))
        const { text } = await watched.agent.call(dialect, { stream })
        if (mode === 'block') expect(tracesIn(text)).toEqual([])
        await watched.agent.call(dialect, { stream, system: LINE, messages: [{ role: 'user', content: LINE }] })
      }
    }
    expect(watched.cage.of('pii.found').length).toBeGreaterThan(8)
    expect(await leaks(watched, '')).toEqual([])
  })
})

describe('on the command line', () => {
  const PROGRAM = `
import sys
print(${JSON.stringify(LINE)})
print("cut in " + ${JSON.stringify(LINE.slice(0, 14))}, end="", flush=True)
print(${JSON.stringify(LINE.slice(14))})
print("\\033[1m" + ${JSON.stringify(LINE)} + "\\033[0m", file=sys.stderr)
assert sys.argv[1] == ${JSON.stringify(LINE)}, "the agent gets its arguments as they were given"
raise RuntimeError(${JSON.stringify(LINE)})
`

  test.each(['text', 'json'])(
    'neither the output of an agent nor its crash leaves a canary in clear (log as %s)',
    async (format) => {
      const place = openPlace()
      place.write('agent.py', PROGRAM)
      const args = ['start', 'agent.py', '--port', '0', '--no-restart', '--verbose', '--log-format', format]
      const ended = await place.run([...args, '--', LINE])
      expect(ended.code).toBe(1)
      expect(ended.out).toContain('[EMAIL_REDACTED]')
      expect(ended.out).toContain('RuntimeError')
      expect(ended.out).not.toContain('AssertionError')
      expect(tracesIn(ended.out + ended.err)).toEqual([])
      expect(leaksInFiles(place.folder, ['agent.py'])).toEqual([])
    },
  )

  test('a script that is named so runs, and its name is not kept', async () => {
    const place = openPlace()
    const script = place.write(`${EMAIL}.py`, 'print("done")')
    const ended = await place.run(['start', script, '--port', '0'])
    expect(ended).toMatchObject({ code: 0, out: expect.stringContaining('[EMAIL_REDACTED]') })
    expect(leaksInFiles(place.folder)).toEqual([])
  })

  test.each<[what: string, args: string[], config?: string]>([
    ['a name of an agent', ['start', 'agent.py', '--name', EMAIL]],
    ['a flag that is wrong', ['start', 'agent.py', '--safety-mode', LINE]],
    ['a flag that there is none of', ['start', 'agent.py', `--${EMAIL}`]],
    ['an amount', ['start', 'agent.py', '--budget', LINE]],
    ['a port', ['start', 'agent.py', '--port', PHONE]],
    ['a script that is not there', ['start', `${EMAIL}.py`]],
    ['a command that there is none of', [EMAIL]],
    ['an agent that there is none of', ['status', SECRET]],
    ['a server that is not there', ['ps', '--db', `${EMAIL}.db`]],
    ['a file that is not there', ['scan', `${EMAIL}.txt`]],
    ['a text that is scanned', ['scan', '--text', LINE]],
    ['a value of the configuration', ['config', 'check'], `safety: { mode: "${LINE}" }`],
    ['a key of the configuration', ['config', 'check'], `safety: { "${EMAIL}": "${SECRET}" }`],
    ['a domain that is none', ['config', 'check'], `safety: { allow_domains: ["${EMAIL}"] }`],
    ['a configuration that is no YAML', ['config', 'check'], `"${LINE}": [`],
    ['a configuration with an unknown anchor', ['config', 'check'], `safety: *${SECRET}`],
  ])('%s leaves nothing in clear', async (_what, args, config) => {
    const place = openPlace()
    place.write('agent.py', 'print("done")')
    if (config !== undefined) place.write('iron-cage.yaml', config)
    const ended = await place.run(args)
    expect(ended.code).not.toBe(0)
    expect(tracesIn(ended.out + ended.err)).toEqual([])
    expect(leaksInFiles(place.folder, ['iron-cage.yaml'])).toEqual([])
  })
})
