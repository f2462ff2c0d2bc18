/** Streamed answers: cut anywhere, broken anywhere, and never passed off as finished when they are not. */

import { createParser } from 'eventsource-parser'
import type { Dispatcher } from 'undici'
import { describe, expect, test, vi } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { messages } from '../../../src/dialects/anthropic/messages.ts'
import { chatCompletions } from '../../../src/dialects/openai/chat-completions.ts'
import type { LlmCall } from '../../../src/gateway/call.ts'
import { AnswerBody } from '../../../src/gateway/provider/answer-body.ts'
import type { ClientConnection } from '../../../src/gateway/provider/client.ts'
import { CallRedactor } from '../../../src/gateway/redaction/call-redactor.ts'
import { SealedOriginals } from '../../../src/gateway/redaction/sealed-originals.ts'
import { serverSentEvents } from '../../../src/gateway/replies/framing.ts'
import { relayFrames } from '../../../src/gateway/replies/stream.ts'
import { Incidents } from '../../../src/redaction/incidents.ts'
import { policyOf } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'
import { StreamRedactor } from '../../../src/redaction/stream-redactor.ts'
import { openParts } from '../../../src/runtime.ts'
import { openWorld } from '../../breaker/support.ts'
import {
  answer,
  chatFrames,
  type DialectName,
  messageFrames,
  type Script,
  sends,
  streams,
} from '../../support/provider.ts'
import { openTestRuntime, type TestRuntime, until } from '../../support/runtime.ts'

const DIALECTS = ['openai', 'anthropic'] as const
const framesOf = { openai: chatFrames, anthropic: messageFrames }

interface Frame {
  event: string | undefined
  data: string
}

function parse(text: string): Frame[] {
  const frames: Frame[] = []
  createParser({ onEvent: ({ event, data }) => frames.push({ event, data }) }).feed(text)
  return frames
}

/** All text in a stream, of either dialect. */
function textOf(text: string): string {
  return parse(text)
    .filter(({ data }) => data !== '[DONE]')
    .map(({ data }) => {
      const event = JSON.parse(data)
      return event.choices?.[0]?.delta?.content ?? event.delta?.text ?? ''
    })
    .join('')
}

/** An answer that came in these pieces. */
function bodyOf(pieces: readonly Buffer[]): AnswerBody {
  const body = new AnswerBody({ pause() {}, resume() {}, abort() {} }, systemClock)
  for (const piece of pieces) body.push(piece)
  body.end()
  return body
}

const isFinished = (text: string): boolean => text.includes('[DONE]') || text.includes('message_stop')

test('a placeholder of the shape of a value is the same in a whole, a large and a streamed reply', async () => {
  const cage = await openTestRuntime({ safety: { placeholders: 'shaped' } })
  const agent = cage.addAgent({ limit: '1000' })
  const placeholder = /redacted-[0-9a-f]{8}@redacted\.example/g
  const seen: string[] = []
  const pad = 'x '.repeat(200_000)
  for (const [text, body] of [
    ['Ask jane.roe@corp.com.', {}],
    [`Ask jane.roe@corp.com. ${pad}`, { max_tokens: 300_000, model: 'plain' }],
    [['Ask jane.r', 'oe@corp', '.com.'], { stream: true }],
  ] as const) {
    const usage = { prompt_tokens: 10, completion_tokens: text.length > 1_000 ? 200_000 : 4 }
    cage.provider.doesOnce(answer({ text: text as string, usage }))
    const reply = await agent.chat(body)
    seen.push(...(reply.text.match(placeholder) ?? [`none in ${reply.text.slice(0, 200)}`]))
  }
  expect(new Set(seen).size).toBe(1)
  expect(seen).toEqual([seen[0], seen[0], seen[0]])
  expect(seen[0]).toMatch(placeholder)
})

describe('a stream cut anywhere', () => {
  const world = openWorld()
  const { safety } = configSchema.parse({})
  const parts = {
    redactor: new Redactor(policyOf(safety, '')),
    incidents: new Incidents(world.store, world.state),
    originals: new SealedOriginals(world.store.deriveKey('a test').toString('base64')),
  }
  const call = { id: 'call-1', caller: { agentId: 'lg-7a3f9c2d', runId: 'run-1' } } as LlmCall

  /** No frame here is large. */
  const clean = () => Promise.reject(new Error('a small frame was taken for a large one'))

  /** The client's bytes when the provider's arrive in these pieces. */
  async function relay(dialect: DialectName, pieces: readonly Buffer[]): Promise<string> {
    const { out, ended } = begin(dialect, pieces)
    await ended
    return out()
  }

  function begin(dialect: DialectName, pieces: readonly Buffer[]): { out: () => string; ended: Promise<void> } {
    let out = ''
    // As much of a client as a relay needs; the class is bound to a socket.
    const client = {
      write: async (text: string) => {
        out += text
      },
    } as unknown as ClientConnection
    const redactor = new CallRedactor(parts, call)
    const reader = { openai: chatCompletions, anthropic: messages }[dialect].readStream(redactor, false)
    const answer = { status: 200, headers: {}, body: bodyOf(pieces) }
    const framing = serverSentEvents
    const writing = {
      framing,
      encoder: framing.encoder(),
      begin: () => undefined,
      keepsAlive: true,
      clock: systemClock,
    }
    const frames = { reader, redactor, clean, ...writing }
    const ended = relayFrames(answer, dialect, frames, client, async () => undefined)
    return { out: () => out, ended }
  }

  const said = ['Grüße 🎉 an ceo', '@piile', 'aker.com oder (415) 55', '5-0178', '; 日本語.']
  const expected = 'Grüße 🎉 an [EMAIL_REDACTED] oder [PHONE_REDACTED]; 日本語.'

  /** Other ways to write the same frames. */
  const spellings: Record<string, (frames: string) => string> = {
    'line feeds': (frames) => frames,
    'carriage returns and line feeds': (frames) => frames.replaceAll('\n', '\r\n'),
    'carriage returns': (frames) => frames.replaceAll('\n', '\r'),
    'comments and ids between': (frames) =>
      `: hello\n\n${frames.replaceAll('\n\n', '\n\n: ping\nid: 7\nretry: 10\n\n')}`,
    'data over many lines': (frames) =>
      frames.replaceAll(/^data: (\{.*\})$/gm, (_line, json: string) =>
        JSON.stringify(JSON.parse(json), null, 1).replaceAll(/^/gm, 'data:'),
      ),
    'a byte order mark': (frames) => `\uFEFF${frames}`,
  }
  const bytesOf = (dialect: DialectName, spelling: string) =>
    Buffer.from(spellings[spelling]!(framesOf[dialect]({ text: said })))

  test.each(DIALECTS.flatMap((dialect) => Object.keys(spellings).map((spelling) => ({ dialect, spelling }))))(
    'a stream cut anywhere is the same byte by byte, with $spelling ($dialect)',
    async ({ dialect, spelling }) => {
      const bytes = bytesOf(dialect, spelling)
      const out = await relay(
        dialect,
        Array.from(bytes, (byte) => Buffer.of(byte)),
      )
      expect(textOf(out)).toBe(expected)
      expect(isFinished(out)).toBe(true)
      // However it was written, it leaves with the same frames.
      const contents = (text: string) =>
        parse(text).map(({ event, data }) => [event, data.startsWith('{') ? JSON.parse(data) : data])
      expect(contents(out)).toEqual(contents(await relay(dialect, [bytesOf(dialect, 'line feeds')])))
    },
  )

  test.each([
    { dialect: 'openai', spelling: 'line feeds', where: /[\s\S]/g },
    { dialect: 'anthropic', spelling: 'line feeds', where: /[\s\S]/g },
    { dialect: 'openai', spelling: 'carriage returns and line feeds', where: /[\r\n]/g },
    { dialect: 'anthropic', spelling: 'carriage returns and line feeds', where: /[\r\n]/g },
  ] as const)(
    'a stream is the same in two pieces, cut before any of $where, with $spelling ($dialect)',
    async (row) => {
      const { dialect, spelling, where } = row
      const bytes = bytesOf(dialect, spelling)
      const whole = await relay(dialect, [bytes])
      expect(textOf(whole)).toBe(expected)
      const different: number[] = []
      for (const { index: cut } of bytes.toString('latin1').matchAll(where)) {
        if ((await relay(dialect, [bytes.subarray(0, cut), bytes.subarray(cut)])) !== whole) different.push(cut)
      }
      expect(different).toEqual([])
    },
  )

  test.each(DIALECTS)(
    'a stream is complete once its end is reported, with or without its last frame (%s)',
    async (dialect) => {
      const text = framesOf[dialect]({ text: ['One', ' two.'] })
      const said = text.indexOf({ openai: '"finish_reason":"stop"', anthropic: '"stop_reason":"end_turn"' }[dialect])
      const complete = text.indexOf('\n\n', said)
      const bytes = Buffer.from(text)
      for (let length = 0; length < complete; length++) {
        await expect(relay(dialect, [bytes.subarray(0, length)])).rejects.toMatchObject({
          code: 'provider_reply_invalid',
        })
      }
      for (let length = complete; length <= bytes.length; length++) {
        expect(textOf(await relay(dialect, [bytes.subarray(0, length)]))).toBe('One two.')
      }
    },
  )

  test.each(DIALECTS)('a stream cut anywhere holds every datum back, wherever it stops (%s)', async (dialect) => {
    const bytes = Buffer.from(framesOf[dialect]({ text: said }))
    for (let length = 0; length < bytes.length; length += 7) {
      const { out, ended } = begin(dialect, [bytes.subarray(0, length)])
      await ended.catch(() => undefined)
      expect(textOf(out())).not.toMatch(/ceo@|5-0178/)
    }
  })
})

/** Streams one call and reads its result. */
async function stream(cage: TestRuntime, dialect: DialectName, body: Record<string, unknown> = {}) {
  const agent = cage.addAgent()
  const reply = await agent.call(dialect, { model: 'plain', max_tokens: 1_000, stream: true, ...body })
  const last = parse(reply.text).at(-1)
  return {
    agent,
    reply,
    frames: parse(reply.text),
    last: last?.data.startsWith('{') ? JSON.parse(last.data) : last?.data,
    lastEvent: last?.event,
  }
}

describe('a stream that breaks', () => {
  interface Break {
    dialect: DialectName
    how: string
    does: Script
    code: string
    provider?: Record<string, unknown>
  }
  const text = Array.from({ length: 30 }, (_, index) => `Part ${index} of it. `)
  const cutOf = (dialect: DialectName) => {
    const frames = framesOf[dialect]({ text })
    return frames.slice(0, frames.indexOf('Part 20') + 3)
  }

  test.each(
    DIALECTS.flatMap((dialect): Break[] => [
      {
        dialect,
        how: 'half an event and a reset',
        does: streams(cutOf(dialect), 'resets'),
        code: 'provider_unreachable',
      },
      { dialect, how: 'a clean end too early', does: streams(cutOf(dialect), 'ends'), code: 'provider_reply_invalid' },
      {
        dialect,
        how: 'silence',
        does: streams(cutOf(dialect), 'hangs'),
        code: 'provider_timeout',
        provider: { idle_timeout_s: 1 },
      },
      {
        dialect,
        how: 'a frame that is no JSON',
        does: streams(`${cutOf(dialect).replace(/[^\n]*$/, '')}data: {"half":\n\n`, 'hangs'),
        code: 'provider_reply_invalid',
      },
    ]),
  )(
    'by $how ($dialect) ends in an error frame of the dialect, and is charged',
    async ({ dialect, does, code, provider }) => {
      const cage = await openTestRuntime({ provider })
      cage.provider.does(does)
      const { agent, reply, last, lastEvent } = await stream(cage, dialect)
      expect(reply.status).toBe(200)
      expect(last.error.code).toBe(code)
      expect(lastEvent).toBe(dialect === 'anthropic' ? 'error' : undefined)
      expect(last.type).toBe(dialect === 'anthropic' ? 'error' : undefined)
      expect(isFinished(reply.text)).toBe(false)
      expect(reply.text).not.toContain('"finish_reason":"stop"')
      // The part sent before the break has arrived.
      expect(textOf(reply.text)).toContain('Part 10 of it.')
      const [row] = cage.rows()
      expect(row).toMatchObject({ state: 'charged', estimated: 1 })
      expect(row?.cost_nanos).toBeGreaterThan(50 * 10_000)
      expect(row?.cost_nanos).toBeLessThanOrEqual(row?.held_nanos ?? 0)
      expect(cage.of('call.failed').map(({ data }) => data.code)).toEqual([code])
      expect(cage.of('call.completed')).toEqual([])
      expect(agent.balance().held).toBe('0')
    },
  )

  test('a stream that breaks counts for the circuit of its provider', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(streams(cutOf('openai'), 'ends'))
    for (let call = 0; call < 5; call++) await stream(cage, 'openai')
    expect(cage.runtime.state.read().circuits.openai?.state).toBe('open')
    expect((await cage.addAgent().chat({ stream: true })).status).toBe(503)
  })

  test.each(DIALECTS)('a stream that breaks before its first frame (%s) is an error frame too', async (dialect) => {
    const cage = await openTestRuntime()
    cage.provider.does(streams('', 'ends'))
    const { reply, last } = await stream(cage, dialect)
    expect(reply.status).toBe(200)
    expect(last.error.code).toBe('provider_reply_invalid')
    expect(cage.rows()[0]?.state).toBe('charged')
  })

  test('a stream with an endless line costs bounded memory', async () => {
    const cage = await openTestRuntime()
    let written = 0
    cage.provider.does(async (response) => {
      const piece = Buffer.alloc(256 * 1024, 'a')
      response.on('error', () => undefined)
      await streams(
        (function* () {
          yield 'data: {"choices":[{"index":0,"delta":{"content":"'
          for (let piecesLeft = 400; piecesLeft > 0; piecesLeft--) {
            written += piece.length
            yield piece
          }
        })(),
      )(response)
    })
    const { last } = await stream(cage, 'openai')
    expect(last.error.code).toBe('reply_too_large')
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
    expect(written).toBeLessThan(64 * 1024 * 1024)
  })
})

describe('usage in a stream', () => {
  test.each([
    { asked: undefined, got: 0 },
    { asked: { include_usage: false }, got: 0 },
    { asked: { include_usage: true }, got: 1 },
  ])('usage in a stream of OpenAI reaches the client only when it asked: $asked', async ({ asked, got }) => {
    const cage = await openTestRuntime()
    const told = chatFrames().replaceAll('"finish_reason":null}]}', '"finish_reason":null}],"usage":null}')
    cage.provider.does(streams(told))
    const { frames, last, reply } = await stream(cage, 'openai', { stream_options: asked })
    if (got > 0) expect(reply.text).toBe(told)
    else expect(reply.text).not.toContain('"usage"')
    expect(frames.filter(({ data }) => data.includes('"choices":[]'))).toHaveLength(got)
    expect(last).toBe('[DONE]')
    expect(JSON.parse(cage.provider.requests[0]!.body).stream_options.include_usage).toBe(true)
    // 10 in at $2.50, 5 out at $10 a million.
    expect(cage.rows()[0]).toMatchObject({ state: 'charged', cost_nanos: 75_000, estimated: 0 })
  })

  test('usage on the final chunk of a stream counts as well', async () => {
    const cage = await openTestRuntime()
    const frames = chatFrames({ usage: undefined }).replace(
      '"finish_reason":"stop"}]',
      '"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}',
    )
    cage.provider.does(streams(frames))
    const { reply } = await stream(cage, 'openai')
    // The chunk is the provider's own: only one that is there for the usage alone is left out.
    expect(reply.text).toBe(frames)
    expect(cage.rows()[0]).toMatchObject({ cost_nanos: 75_000, estimated: 0 })
  })

  test('usage in a stream of Anthropic is cumulative: the last one counts, and it passes', async () => {
    const cage = await openTestRuntime()
    const frames = messageFrames({ usage: { output_tokens: 5 } })
    const delta = frames.slice(frames.indexOf('event: message_delta'), frames.indexOf('event: message_stop'))
    cage.provider.does(streams(frames.replace(delta, delta.replace('"output_tokens":5', '"output_tokens":3') + delta)))
    const { reply } = await stream(cage, 'anthropic')
    expect(reply.text.match(/"usage"/g)).toHaveLength(3)
    expect(cage.rows()[0]).toMatchObject({ cost_nanos: 75_000, estimated: 0 })
  })
})

describe('personal data in a stream', () => {
  const text = ['Write to ', 'ceo@piile', 'aker.com now. ', ...Array(40).fill('Then wait for it. ')]

  test.each(DIALECTS)('personal data in a stream is replaced though it comes in pieces (%s)', async (dialect) => {
    const cage = await openTestRuntime()
    cage.provider.does(answer({ text }))
    const { reply } = await stream(cage, dialect)
    expect(textOf(reply.text)).toBe(text.join('').replace('ceo@piileaker.com', '[EMAIL_REDACTED]'))
    expect(cage.of('pii.found').map(({ data }) => [data.pii_type, data.place])).toEqual([['email', 'reply']])
    expect(cage.of('call.completed')[0]?.data.redactions).toBe(1)
  })

  test.each(DIALECTS)(
    'blocked personal data (%s) ends the stream in an error frame, with no more text after, charged',
    async (dialect) => {
      const cage = await openTestRuntime({ safety: { mode: 'block' } })
      const frames = framesOf[dialect]({ text })
      cage.provider.does(streams(frames.slice(0, frames.indexOf('Then wait', 6_000)), 'hangs'))
      const { reply, last } = await stream(cage, dialect)
      expect(last.error.code).toBe('pii_blocked')
      expect(isFinished(reply.text)).toBe(false)
      expect(textOf(reply.text)).not.toMatch(/Then|now|piileaker/)
      expect(await cage.provider.requests[0]?.hungUp).toBe(true)
      expect(cage.rows()[0]).toMatchObject({ state: 'charged', code: null })
      expect(cage.rows()[0]?.cost_nanos).toBeGreaterThan(0)
      expect(cage.of('call.failed').map(({ data }) => data.code)).toEqual(['pii_blocked'])
      // The provider did nothing wrong.
      expect(cage.runtime.state.read().circuits[dialect]?.state ?? 'closed').toBe('closed')
    },
  )

  test.each(DIALECTS)('personal data that only warns (%s) passes in a stream', async (dialect) => {
    const cage = await openTestRuntime({ safety: { mode: 'warn' } })
    cage.provider.does(answer({ text }))
    const { reply } = await stream(cage, dialect)
    expect(textOf(reply.text)).toBe(text.join(''))
    expect(cage.of('pii.found')).toHaveLength(1)
  })

  test.each(DIALECTS)('a failed search for personal data (%s) withholds the rest of the stream', async (dialect) => {
    const cage = await openTestRuntime({ open: openParts })
    cage.provider.does(answer({ text }))
    const failing = vi.spyOn(StreamRedactor.prototype, 'push').mockImplementation(() => {
      throw new Error('a detector is broken')
    })
    const { reply, last } = await stream(cage, dialect).finally(() => failing.mockRestore())
    expect(last.error.code).toBe('redaction_failed')
    expect(textOf(reply.text)).toBe('')
    expect(isFinished(reply.text)).toBe(false)
    expect(cage.rows()[0]?.state).toBe('charged')
  })

  test('personal data in a stream where no delta is expected is replaced too', async () => {
    const cage = await openTestRuntime()
    const secret = 'ceo@piileaker.com'
    cage.provider.doesOnce(
      streams(
        `data: {"choices":[{"index":0,"message":{"role":"assistant","content":"${secret}"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`,
      ),
    )
    cage.provider.doesOnce(
      streams(messageFrames().replace('{"type":"text","text":""}', `{"type":"text","text":"${secret} "}`)),
    )
    cage.provider.doesOnce(
      streams(
        messageFrames().replace(
          '{"type":"text","text":""}',
          `{"type":"tool_use","id":"t","name":"f","input":{"to":"${secret}"}}`,
        ),
      ),
    )
    for (const dialect of ['openai', 'anthropic', 'anthropic'] as const) {
      const { reply } = await stream(cage, dialect)
      expect(reply.text).not.toContain(secret)
      expect(reply.text).toContain('[EMAIL_REDACTED]')
      expect(isFinished(reply.text)).toBe(true)
    }
  })

  test('personal data in the streamed arguments of a tool is replaced', async () => {
    const cage = await openTestRuntime()
    const piece = (text: string) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [{ index: 1, function: { arguments: text } }] }, finish_reason: null }] })}\n\n`
    const end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
    cage.provider.does(streams(['{"to":"ceo@pi', 'ileaker.c', 'om"}'].map(piece).join('') + end))
    const { frames } = await stream(cage, 'openai')
    const argumentsOf = ({ data }: Frame) =>
      data === '[DONE]' ? '' : (JSON.parse(data).choices[0].delta.tool_calls?.[0].function.arguments ?? '')
    expect(frames.map(argumentsOf).join('')).toBe('{"to":"[EMAIL_REDACTED]"}')
    // The held text came before the end of its choice.
    expect(frames.findLastIndex((frame) => argumentsOf(frame) !== '')).toBeLessThan(
      frames.findIndex(({ data }) => data.includes('"finish_reason":"tool_calls"')),
    )
  })
})

test.each([undefined, { prompt_tokens: 10, completion_tokens: 5 }])(
  'the cost of a stream is recorded before its client sees the end (usage: %o)',
  async (usage) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    // The connection stays open after the last frame: nothing waits for its end.
    cage.provider.does(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(chatFrames({ usage }))
      await finished
      response.end()
    })
    const { body } = await agent.open({ model: 'plain' })
    let text = ''
    for await (const chunk of body) {
      text += chunk
      if (text.includes('[DONE]')) expect(cage.of('call.completed')).toHaveLength(1)
    }
    expect(text).toContain('[DONE]')
    expect(agent.balance().spent).not.toBe('0')
    finish()
  },
)

describe('the pace of a stream', () => {
  test('the pace of a stream is that of the provider: a frame is passed on before the next one comes', async () => {
    const cage = await openTestRuntime()
    const frames = chatFrames({ text: ['One long sentence that is shown,\n', 'Two.'] }).split(/(?<=\n\n)/)
    let release = () => {}
    cage.provider.does(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(frames.slice(0, 2).join(''))
      await new Promise<void>((resolve) => {
        release = resolve
      })
      response.end(frames.slice(2).join(''))
    })
    const { body } = await cage.addAgent().open({ max_tokens: 100 })
    let text = ''
    for await (const chunk of body) {
      text += chunk
      if (text.includes('One long')) release()
    }
    expect(text).toContain('[DONE]')
  })

  test('the pace of a stream is that of a slow reader: the provider waits, and memory stays flat', async () => {
    const cage = await openTestRuntime()
    let written = 0
    const piece = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'word '.repeat(4_000) }, finish_reason: null }] })}\n\n`
    cage.provider.does(
      streams(
        (function* () {
          for (; written < 60 * 1024 * 1024; written += piece.length) yield piece
        })(),
      ),
    )
    const leaving = new AbortController()
    const reply: Dispatcher.ResponseData = await cage.addAgent().open({}, leaving.signal)
    reply.body.on('error', () => undefined)
    let before = -1
    let still = 0
    await until(() => {
      still = written === before ? still + 1 : 0
      before = written
      return still > 40
    }, 'the provider waits')
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(30 * 1024 * 1024)
    leaving.abort()
    expect(await cage.provider.requests[0]?.hungUp).toBe(true)
    await cage.event('call.failed')
  })
})

test('a stream that was not asked for, and one that does not come, are passed on as they are', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  cage.provider.doesOnce(streams(chatFrames()))
  expect(isFinished((await agent.chat()).text)).toBe(true)
  cage.provider.doesOnce(sends(200, { 'content-type': 'application/json' }, { choices: [], usage: null }))
  expect((await agent.chat({ stream: true })).json()).toEqual({ choices: [], usage: null })
  expect(cage.rows().every(({ state, cost_nanos }) => state === 'charged' && cost_nanos > 0)).toBe(true)
})

test('the content type of a stream is case-insensitive', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  cage.provider.does(
    sends(200, { 'content-type': 'Text/Event-Stream' }, chatFrames({ text: ['ceo@', 'piileaker.com'] })),
  )
  const reply = await agent.chat({ stream: true })
  expect(textOf(reply.text)).toBe('[EMAIL_REDACTED]')
})
