/** Liberties of real servers: a client gets their replies unchanged, and a finding changes its own string alone. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type Reply } from '../../support/runtime.ts'

const SIGNATURE = createHash('sha512').update('x').digest('base64').replaceAll('=', '').repeat(16)
const JSON_TYPE = { 'content-type': 'application/json' }

const event = (value: unknown, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`
const chunk = (choice: object, more: object = {}): string =>
  event({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'penny',
    choices: [{ index: 0, ...choice }],
    ...more,
  })
const says = (delta: object | null, more: object = {}): string => chunk({ delta, finish_reason: null }, more)
const STOP = chunk({ delta: {}, finish_reason: 'stop' })
const USAGE = event({ id: 'c', model: 'penny', choices: [], usage: { prompt_tokens: 10, completion_tokens: 2 } })
const DONE = 'data: [DONE]\n\n'

async function chat(frames: string | Iterable<string | Buffer>, type?: string, n = 1): Promise<Reply> {
  const cage = await openTestRuntime()
  cage.provider.does(streams(frames, 'ends', type))
  return cage.addAgent().chat({ stream: true, n, stream_options: { include_usage: true } })
}

describe('a stream of chunks', () => {
  test.each<[what: string, frames: string]>([
    [
      'comments and ids',
      `: OPENROUTER PROCESSING\n\nid: 7\nretry: 3000\n: x\n\n${says({ content: 'Hi, ' })}: ping\n\n${STOP}${DONE}`,
    ],
    [
      'an event with a comment, an id and a name',
      `: x\nid: 1\nevent: message\n${says({ content: 'Hi.' })}${STOP}${DONE}`,
    ],
    ['no [DONE]', says({ content: 'Hel' }) + says({ content: 'lo' }) + STOP + USAGE],
    ['no empty line at its end', `${says({ content: 'Hel' })}${STOP}`.trimEnd()],
    [
      'nulls',
      `${event({ choices: null, usage: null })}${says({ content: null, role: 'assistant', tool_calls: null })}${says(null)}${STOP}${DONE}`,
    ],
    [
      'empty choices',
      `${event({ id: '', choices: [], prompt_filter_results: [] })}${says({ content: 'Hi' })}${STOP}${DONE}`,
    ],
    [
      'usage in every chunk, twice and after the end',
      `${says({ content: 'a' }, { usage: null })}${says({ content: 'b' }, { usage: { prompt_tokens: 1, completion_tokens: 1 } })}${STOP}${USAGE}${USAGE}${DONE}`,
    ],
    [
      'unknown fields and events',
      `${event({ type: 'ping' }, 'ping')}${says({ content: 'Hi', of_tomorrow: [{ ü: ['x y'] }] })}${event({ nonce: 'a b' }, 'extra.thing')}${STOP}${DONE}`,
    ],
    [
      'numbers and escapes as some write them',
      `data: {"choices":[{"index":0,"delta":{"content":"\\u0048\\/i"},"n":1.0,"id":725653563933458433,"e":1E+2}]}\n\n${STOP}${DONE}`,
    ],
    [
      'pieces of one character',
      [...'It was a dark night, and it rained.'].map((content) => says({ content })).join('') + STOP + DONE,
    ],
    [
      'a large chunk',
      says({ content: 'A word and \\u0061 "quoted" one.\n'.repeat(20_000) }) + says({ content: ' End' }) + STOP + DONE,
    ],
    [
      'a signed call of a tool',
      says({
        tool_calls: [
          {
            index: 0,
            id: 'c1',
            function: { name: 'f', arguments: '{}' },
            extra_content: { google: { thought_signature: SIGNATURE } },
          },
        ],
      }) +
        chunk({ delta: {}, finish_reason: 'tool_calls' }) +
        DONE,
    ],
    [
      'opaque reasoning',
      says({ content: 'a', reasoning_opaque: SIGNATURE }) +
        says({ content: '', content_signature: SIGNATURE, encrypted_content: SIGNATURE }) +
        STOP +
        DONE,
    ],
    [
      'reasoning, an answer and calls in turn',
      says({ reasoning_content: 'so the' }) +
        says({ content: 'I call' }) +
        says({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"a"' } }] }) +
        says({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }) +
        STOP +
        DONE,
    ],
    [
      'the probabilities of tokens',
      chunk({
        delta: { content: 'Hello' },
        logprobs: {
          content: [
            {
              token: 'Hello',
              bytes: [72, 101, 108, 108, 111],
              logprob: -0.1,
              top_logprobs: [{ token: 'Hi', logprob: -2 }],
            },
          ],
        },
        finish_reason: null,
      }) +
        STOP +
        DONE,
    ],
  ])('a stream of chunks with %s is passed on to the letter', async (_what, frames) => {
    expect((await chat(frames)).text).toBe(frames)
  })

  test('a stream of chunks of several choices is complete when all of them are', async () => {
    const of = (index: number, finish_reason: string | null) =>
      event({ choices: [{ index, delta: { content: 'x' }, finish_reason }] })
    const whole = of(0, null) + of(1, 'stop') + of(0, 'length')
    expect((await chat(whole, undefined, 2)).text).toBe(whole)
    expect((await chat(of(0, null) + of(1, 'stop'), undefined, 2)).text).toContain('provider_reply_invalid')
  })

  test.each(['application/json', 'text/plain', 'application/octet-stream', ''])(
    'a stream is recognized by its first bytes for the content type "%s"',
    async (type) => {
      for (const start of ['', '\uFEFF', '\n\n', ': hello\n\n']) {
        const frames = says({ content: 'Hel' }) + says({ content: 'lo' }) + STOP + USAGE + DONE
        const reply = await chat([...`${start}${frames}`.slice(0, 9), `${start}${frames}`.slice(9)], type)
        expect([reply.status, reply.text.endsWith(frames)]).toEqual([200, true])
      }
    },
  )

  test.each([
    { top_logprobs: [{ 'jane.roe@corp.com': -1 }] },
    { content: [{ phone: 4_155_550_132_001, 'jane.roe@corp.com': true }] },
    { content: [{ token: '6212345678900000003' }] },
    [{ card: 4_111_111_111_111_111 }],
  ])('a stream shows no tokens with findings in names and numbers: %j', async (logprobs) => {
    const frame = (shown: unknown) => chunk({ delta: { content: 'Hi, ' }, logprobs: shown, finish_reason: null })
    const hidden = Array.isArray(logprobs) ? [] : null
    expect((await chat(frame(logprobs) + STOP + DONE)).text).toBe(frame(hidden) + STOP + DONE)
  })

  test('a stream of chunks in which a text never goes on does not keep the others for ever', async () => {
    const other = (index: number) =>
      event({
        choices: [{ index: 1, delta: { content: `${index} ${'word '.repeat(20_000)}, ` }, finish_reason: null }],
      })
    const cage = await openTestRuntime()
    let goOn = () => {}
    cage.provider.does(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(says({ content: 'Hello' }) + Array.from({ length: 20 }, (_, index) => other(index)).join(''))
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      response.end(STOP + DONE)
    })
    const { body } = await cage.addAgent().open({ n: 2, max_tokens: 9 })
    let text = ''
    for await (const piece of body) {
      text += piece
      if (text.includes('"content":"5 ')) goOn()
    }
    expect(text).toContain('[DONE]')
  })

  test('a stream of chunks with ends of lines of any kind has line feeds', async () => {
    const frames = says({ content: 'Hel' }) + says({ content: 'lo' }) + STOP + DONE
    for (const end of ['\r\n', '\r']) expect((await chat(frames.replaceAll('\n', end))).text).toBe(frames)
  })

  test('a stream loses only the finding, regardless of the places where it was split', async () => {
    const rest = '"n":1.0,"id":725653563933458433,"u":"\\u0061"'
    const piece = (text: string) =>
      `: note\nid: 9\ndata: {"choices":[{"index":0,"delta":{"content":"${text}"},${rest}}]}\n\n`
    const other = says({ content: 'x' })
    const { text } = await chat(
      piece('To jane.r') +
        other.replace('"x"', '"oe@corp"') +
        piece('-canary.com now, ') +
        piece('\\u0041') +
        STOP +
        DONE,
    )
    expect(text).toBe(
      piece('To [EMAIL_REDACTED]') + other.replace('"x"', '""') + piece(' now, ') + piece('\\u0041') + STOP + DONE,
    )
  })

  test('a stream of chunks loses a finding beside the data, with the lines that it is in', async () => {
    const { text } = await chat(
      `: jane.roe@corp-canary.com\n\n: to jane.roe@corp-canary.com\n${says({ content: 'Hi, ' })}${STOP}${DONE}`,
    )
    expect(text).toBe(says({ content: 'Hi, ' }) + STOP + DONE)
  })

  test('the token list of a stream does not reveal a finding', async () => {
    const token = (piece: string) => ({ token: piece, bytes: [...Buffer.from(piece)] })
    const frame = (content: string) =>
      chunk({ delta: { content }, logprobs: { content: [token(content)] }, finish_reason: null })
    const { text } = await chat(
      ['jane', '.roe@', 'corp', '.com', ' is, well', ', here'].map(frame).join('') + STOP + DONE,
    )
    expect(text).not.toMatch(/roe|corp/)
    expect(text).toContain(frame(', here'))
  })
})

describe('a stream of another dialect', () => {
  const anthropic = (frames: string, body = { model: 'penny', max_tokens: 99, messages: [], stream: true }) =>
    sent('anthropic', '/v1/messages', frames, body)

  async function sent(provider: string, path: string, frames: string, body: object): Promise<string> {
    const cage = await openTestRuntime()
    cage.provider.does(streams(frames))
    return (await cage.addAgent().send(provider, 'POST', path, JSON.stringify(body))).text
  }

  const START = event(
    {
      type: 'message_start',
      message: { id: 'm', role: 'assistant', content: [], usage: { input_tokens: 1, output_tokens: 1 } },
    },
    'message_start',
  )
  const DELTA = event(
    { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9 } },
    'message_delta',
  )

  test('a stream of another dialect keeps the numbers, thoughts, signatures and events of Anthropic', async () => {
    const frames = [
      START,
      event(
        { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
        'content_block_start',
      ),
      event(
        { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'I thi' } },
        'content_block_delta',
      ),
      event({ type: 'ping' }, 'ping'),
      event(
        { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'nk' } },
        'content_block_delta',
      ),
      event(
        { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: SIGNATURE } },
        'content_block_delta',
      ),
      event({ type: 'content_block_stop', index: 0 }, 'content_block_stop'),
      event(
        { type: 'content_block_start', index: 1, content_block: { type: 'redacted_thinking', data: SIGNATURE } },
        'content_block_start',
      ),
      event({ type: 'content_block_stop', index: 1 }, 'content_block_stop'),
      event('{"type":"of_tomorrow","index":2,"id":725653563933458433}', 'of_tomorrow'),
      DELTA,
    ].join('')
    expect(await anthropic(frames + event({ type: 'message_stop' }, 'message_stop'))).toBe(
      frames + event({ type: 'message_stop' }, 'message_stop'),
    )
    expect(await anthropic(frames)).toBe(frames)
  })

  test('a stream of another dialect keeps the integers of Gemini in the arguments of a tool, and its signatures', async () => {
    const part = (json: string, more = '') =>
      `data: {"candidates":[{"content":{"role":"model","parts":[${json}]},"index":0${more}}],"modelVersion":"plain"}\n\n`
    const frames =
      part('{"text":"I de"}') +
      part(`{"text":"lete","thoughtSignature":"${SIGNATURE}"}`) +
      part(
        `{"functionCall":{"name":"del","args":{"id":725653563933458433}},"thoughtSignature":"${SIGNATURE}"}`,
        ',"finishReason":"STOP"',
      )
    const body = { contents: [], generationConfig: { maxOutputTokens: 9 } }
    expect(await sent('google', '/v1beta/models/plain:streamGenerateContent?alt=sse', frames, body)).toBe(frames)
  })
})

describe('a whole reply', () => {
  test('a whole reply in which something was found keeps all else to the letter', async () => {
    const reply = (text: string) =>
      `{ "id":"m1", "content":[{"type":"text","text":"${text}"},{"type":"tool_use","input":{"id":725653563933458433,"n":1.0,"u":"\\u0061\\/"}}],\n"usage":{"input_tokens":10,"output_tokens":10}}`
    const cage = await openTestRuntime()
    for (const pad of ['', 'x '.repeat(200_000)]) {
      cage.provider.does(sends(200, JSON_TYPE, reply(`Ask jane.roe@corp-canary.com.${pad}`)))
      const body = JSON.stringify({ model: 'plain', max_tokens: 50, messages: [] })
      const { text } = await cage.addAgent().send('anthropic', 'POST', '/v1/messages', body)
      expect(text === reply(`Ask [EMAIL_REDACTED].${pad}`)).toBe(true)
    }
  })

  test('a phone or card number of any length is recognized in a whole reply', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(200, JSON_TYPE, '{"choices":[],"card":6212345678900000003,"id":725653563933458433}'))
    expect((await cage.addAgent().chat()).text).toBe(
      '{"choices":[],"card":"[CREDIT_CARD_REDACTED]","id":725653563933458433}',
    )
  })
})
