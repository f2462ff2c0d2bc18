import { describe, expect, test } from 'vitest'
import type { Json } from '../../../src/dialects/json.ts'
import { GivenValues } from '../../../src/gateway/redaction/given-values.ts'
import { newMasterKey } from '../../../src/vault/master-key.ts'
import { sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type RuntimeOptions } from '../../support/runtime.ts'

const givenIn = (content: string) => {
  let reads = 0
  const values = new GivenValues({
    json: () => {
      reads++
      return JSON.stringify({ messages: [{ role: 'user', content }] })
    },
  })
  return { values, reads: () => reads }
}

describe('a value is given', () => {
  test.each([
    ['in any case', 'Write to Jane@Acme.COM.', 'email', 'jane@acme.com'],
    ['after a line break', 'To:\njane@acme.com\n', 'email', 'jane@acme.com'],
    ['in JSON within a text', JSON.stringify({ a: JSON.stringify({ to: 'jane@acme.com' }) }), 'email', 'jane@acme.com'],
    ['escaped in the finding', 'jane@acme.com', 'email', 'jane%40acme.com'],
    ['in other groups', 'Call (415) 733-2671', 'phone', '415.733.2671'],
    ['with the country', 'Call (415) 733-2671', 'phone', '+14157332671'],
    ['without the country', 'Call +1 415 733 2671', 'phone', '415-733-2671'],
    ['as a card', '4539 5787 6362 1486', 'credit_card', '4539578763621486'],
  ] as const)('a value is given %s', (_, request, type, value) =>
    expect(givenIn(request).values.has(type, value)).toBe(true),
  )
})

describe('a value is not given', () => {
  test.each([
    ['as a part of a longer address', 'mary-jane@acme.com jane@acme.com.au', 'email', 'jane@acme.com'],
    ['when it is another one', 'jane@acme.org', 'email', 'jane@acme.com'],
    ['as a part of a longer number', '94157332671 41573326719', 'phone', '4157332671'],
    ['when it is spread over several numbers', '"415","733","2671"', 'phone', '4157332671'],
  ] as const)('a value is not given %s', (_, request, type, value) =>
    expect(givenIn(request).values.has(type, value)).toBe(false),
  )
})

test('a request is read once, and only when something was found', () => {
  const { values, reads } = givenIn('jane@acme.com')
  expect(reads()).toBe(0)
  for (const value of ['jane@acme.com', 'bob@acme.com', 'jane@acme.com']) values.has('email', value)
  expect(reads()).toBe(1)
})

const GIVEN = 'jane.roe@corp-canary.com'
const SECRET = 'prod-secret-of-the-company-7788'
const ARGUMENTS = JSON.stringify({ to: GIVEN, cc: 'bob.roe@corp-canary.com', key: SECRET })
const SAFE = JSON.stringify({ to: GIVEN, cc: '[EMAIL_REDACTED]', key: '[SECRET_REDACTED]' })

const call = (pieces: Json): Json => ({
  index: 0,
  id: 'call_1',
  type: 'function',
  function: { name: 'send', arguments: pieces },
})
const frame = (delta: Json, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'test', choices: [{ index: 0, delta, finish_reason }] })}\n\n`

async function argumentsOf(options: RuntimeOptions, request: { messages: Json }, pieces: string[]) {
  const cage = await openTestRuntime({ masterKey: newMasterKey(), ...options })
  await cage.runtime.vault.create(
    { name: 'STRIPE_KEY', value: SECRET, environment: 'development' },
    { role: 'admin', agentId: null, actor: 'test' },
  )
  const agent = cage.addAgent({ limit: '1000' })
  const message = { role: 'assistant', content: `Sent to ${GIVEN}.`, tool_calls: [call(pieces.join(''))] }
  const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 }
  const choices = [{ index: 0, message, finish_reason: 'tool_calls' }]
  cage.provider.doesOnce(
    sends(
      200,
      { 'content-type': 'application/json' },
      { id: 'c', object: 'chat.completion', created: 1, model: 'test', choices, usage },
    ),
  )
  const whole = (await agent.chat(request)).json() as {
    choices: { message: { content: string; tool_calls: { function: { arguments: string } }[] } }[]
  }
  const frames = pieces.map((piece) => frame({ tool_calls: [call(piece)] }))
  cage.provider.doesOnce(streams([...frames, frame({}, 'tool_calls'), 'data: [DONE]\n\n']))
  const streamed = (await agent.chat({ ...request, stream: true })).text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .flatMap((line) => JSON.parse(line.slice(6)).choices ?? [])
    .flatMap(({ delta }) => delta.tool_calls ?? [])
    .map((one) => one.function.arguments as string)
    .join('')
  const [{ message: answered }] = whole.choices as [(typeof whole.choices)[number]]
  return { cage, content: answered.content, whole: answered.tool_calls[0]!.function.arguments, streamed }
}

const cut = (length: number): string[] => ARGUMENTS.match(new RegExp(`.{1,${length}}`, 'g'))!
const asking = (content: string) => ({ messages: [{ role: 'user', content }] })

describe('in the arguments of tools', () => {
  test.each([1, 7, 1_000])(
    'values of the request pass, whole and in pieces of %d, and all others are redacted',
    async (length) => {
      const request = asking(`Send the offer to ${GIVEN} with ${SECRET}`)
      const { cage, content, whole, streamed } = await argumentsOf(
        { calls: { keep_content: true } },
        request,
        cut(length),
      )
      expect([whole, streamed]).toEqual([SAFE, SAFE])
      expect(content).toBe('Sent to [EMAIL_REDACTED].')
      const { access_token } = await cage.login()
      const shown = [
        JSON.stringify(cage.events),
        cage.log(),
        (await cage.get('/api/pii/incidents', access_token)).text,
        ...(await Promise.all(
          cage.rows().map(async ({ id }) => (await cage.get(`/api/calls/${id}/content`, access_token)).text),
        )),
      ]
      expect(shown.filter((text) => text.includes(GIVEN))).toEqual([])
    },
  )

  test('a value of a long request passes, even in a large frame', async () => {
    const request = asking(`${'word '.repeat(80_000)}\nSend it to ${GIVEN}`)
    const padding = JSON.stringify({ note: 'x '.repeat(150_000) })
    const { whole, streamed } = await argumentsOf({}, request, [ARGUMENTS, padding])
    expect([whole, streamed].map((text) => text.slice(0, SAFE.length))).toEqual([SAFE, SAFE])
  })

  test('values are redacted with given: redact, or if the request holds only a similar one', async () => {
    const redacted = SAFE.replace(GIVEN, '[EMAIL_REDACTED]')
    const strict = await argumentsOf({ safety: { given: 'redact' } }, asking(`Send it to ${GIVEN}`), cut(9))
    const unknown = await argumentsOf({}, asking(`Send it to x-${GIVEN}`), cut(9))
    expect([strict.whole, strict.streamed, unknown.whole, unknown.streamed]).toEqual(Array(4).fill(redacted))
  })
})
