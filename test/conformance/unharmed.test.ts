import { describe, expect, test } from 'vitest'
import type { Received } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { plays } from './provider.ts'
import type { Turn } from './turn.ts'

/** Bodies without personal data arrive as they were sent: a reply to the letter, a request in every field. */

const TURN: Turn = {
  thinking: ['Two towns, ', 'two ', 'calls.'],
  text: ['One ', 'moment ', 'please.'],
  calls: [
    { name: 'warmth', arguments: ['{"city', '": "Oslo"', '}'] },
    { name: 'warmth', arguments: ['{"city": ', '"Rome"}'] },
  ],
}

const ASKED = { role: 'user', content: 'How warm is it?' }
const CACHED = { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral', ttl: '1h' } }
const IMAGE = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } }

/** Requests with everything in them that a client may send, also unknown fields. */
const REQUESTS = {
  '/openai/v1/chat/completions': {
    model: 'plain',
    max_tokens: 50,
    messages: [ASKED],
    parallel_tool_calls: true,
    seed: 12345678901234,
    stream_options: { include_usage: true, include_obfuscation: false },
    response_format: { type: 'json_schema', json_schema: { name: 'place', strict: true, schema: { type: 'object' } } },
    of_tomorrow: [{ ü: null }],
  },
  '/openai/v1/responses': {
    model: 'plain',
    max_output_tokens: 50,
    input: [ASKED],
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: 'low', summary: 'auto' },
    text: { format: { type: 'text' }, verbosity: 'low' },
    of_tomorrow: [{ ü: null }],
  },
  '/anthropic/v1/messages': {
    model: 'plain',
    max_tokens: 2000,
    system: [CACHED],
    messages: [{ role: 'user', content: [IMAGE, { ...CACHED, citations: { enabled: true } }] }],
    thinking: { type: 'enabled', budget_tokens: 1024 },
    tools: [{ name: 'warmth', input_schema: { type: 'object' }, cache_control: { type: 'ephemeral' } }],
    of_tomorrow: [{ ü: null }],
  },
}

describe.each(Object.entries(REQUESTS))('%s', (path, body) => {
  test.each([false, true])('every field passes both ways, streamed: %s', async (stream) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const sent: Record<string, unknown> = { ...body, stream }
    if (!stream) delete sent.stream_options
    cage.provider.does(plays(TURN))

    const [, provider, rest] = /^\/(\w+)(\/.+)$/.exec(path)!
    const reply = await agent.send(provider!, 'POST', rest!, JSON.stringify(sent))

    expect(reply.status).toBe(200)
    const [received] = cage.provider.requests
    // Which of the two names of the limit a server reads is known of the vendor's own only.
    const both = path === '/openai/v1/chat/completions' ? { max_completion_tokens: sent.max_tokens } : {}
    expect(JSON.parse(received!.body)).toEqual({ ...sent, ...both })
    expect(reply.text).toBe(await ofProvider(received!))
  })
})

/** The provider's answer to a direct request. */
async function ofProvider({ body, headers, url }: Received): Promise<string> {
  const direct = await fetch(`http://${headers.host}${url}`, { method: 'POST', body })
  return await direct.text()
}
