/** Replies and frames as some servers write them, and as none should: each with an address at another place. */
import { describe, expect, test } from 'vitest'
import { sends, streams } from '../support/provider.ts'
import { openTestRuntime, type Reply } from '../support/runtime.ts'

const EMAIL = 'jane.roe@corp-canary.com'
const JSON_TYPE = { 'content-type': 'application/json' }

const frame = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const chunk = (choice: object) =>
  frame({ id: 'c', model: 'penny', choices: [{ index: 0, finish_reason: null, ...choice }] })

interface Choice {
  index: number
  delta: { content?: string & { text: string }[] }
}

const eventsOf = ({ text }: Reply): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)))

describe('a stream', () => {
  test.each(['', false, 'null', 'jane@example.com'])(
    'a stream in which every chunk has the finish_reason %j is not ended by it',
    async (finish_reason) => {
      const cage = await openTestRuntime()
      const pieces = ['Write to jane.r', 'oe@corp-can', 'ary.com now.']
      cage.provider.does(
        streams(`${pieces.map((content) => chunk({ delta: { content }, finish_reason })).join('')}data: [DONE]\n\n`),
      )
      const reply = await cage.addAgent().chat({ stream: true })
      const said = eventsOf(reply).map(({ choices }) => (choices as Choice[])[0]!.delta?.content ?? '')
      expect(said.join('')).toBe('Write to [EMAIL_REDACTED] now.')
      expect(reply.text).not.toContain('example.com')
    },
  )

  test('a stream that goes on after its finish completes nothing that had begun before', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(
      streams(
        `${chunk({ delta: { content: 'jane.roe@corp' } })}${chunk({ delta: {}, finish_reason: 'stop' })}${chunk({ delta: { content: '-canary.com!' } })}data: [DONE]\n\n`,
      ),
    )
    const { text } = await cage.addAgent().chat({ stream: true })
    expect(text).not.toContain('-canary')
    expect(text).toContain('[EMAIL_REDACTED]!')
  })

  test('a stream whose identifiers spell one of our tokens does not show enough of it to guess the rest', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    for (const cuts of [[23, 46], [46], [31, 36]]) {
      const pieces = [0, ...cuts].map((start, at) => agent.token.slice(start, cuts[at]))
      const frames = pieces.map((object) => frame({ id: 'c', object, model: 'penny', choices: [] }))
      cage.provider.doesOnce(
        streams(`${frames.join('')}${chunk({ delta: { content: 'Hi' }, finish_reason: 'stop' })}data: [DONE]\n\n`),
      )
      const shown = eventsOf(await agent.chat({ stream: true })).map(({ object }) => object ?? '')
      const length = [...agent.token].findIndex((_, at) => !shown.join('').includes(agent.token.slice(0, at + 1)))
      expect(length).toBeLessThanOrEqual('run_'.length + 31)
      expect(shown.join('')).toContain('REDACTED]')
    }
  })

  test('a stream whose content is a list keeps its shape, also for the rest of a text', async () => {
    const cage = await openTestRuntime()
    const piece = (text: string) => chunk({ delta: { content: [{ type: 'text', text }] } })
    cage.provider.does(
      streams(
        `${piece(`To ${EMAIL.slice(0, 9)}`)}${piece(EMAIL.slice(9))}${piece('. Good bye')}${chunk({ delta: {}, finish_reason: 'stop' })}data: [DONE]\n\n`,
      ),
    )
    const contents = eventsOf(await cage.addAgent().chat({ stream: true }))
      .map(({ choices }) => (choices as Choice[])[0]!.delta)
      .filter((delta) => Object.keys(delta).length > 0)
    expect(contents.map(({ content }) => content![0]!.text).join('')).toBe('To [EMAIL_REDACTED]. Good bye')
    for (const delta of contents) expect(delta).toEqual({ content: [{ type: 'text', text: expect.any(String) }] })
  })

  test('a stream of two choices that take turns keeps them apart', async () => {
    const cage = await openTestRuntime()
    const says = (index: number, content: string) =>
      frame({ choices: [{ index, delta: { content }, finish_reason: null }] })
    cage.provider.does(
      streams(
        `${says(0, 'a jane.roe@')}${says(1, 'b bob@exam')}${says(0, 'corp-canary.com x')}${says(1, 'ple.org y')}data: [DONE]\n\n`,
      ),
    )
    const said = ['', '']
    for (const { choices } of eventsOf(await cage.addAgent().chat({ stream: true, n: 2 }))) {
      for (const { index, delta } of choices as Choice[]) said[index] += String(delta.content)
    }
    expect(said).toEqual(['a [EMAIL_REDACTED] x', 'b [EMAIL_REDACTED] y'])
  })

  test('a stream whose items have another id in every event is one text all the same', async () => {
    const cage = await openTestRuntime()
    const delta = (text: string, id: string) =>
      frame({ type: 'response.output_text.delta', item_id: id, output_index: 0, content_index: 0, delta: text })
    cage.provider.does(
      streams(
        `${delta('To jane.roe@corp', 'a')}${delta('-canary.com.', 'b')}${frame({ type: 'response.completed', response: { output: [], usage: { input_tokens: 1, output_tokens: 1 } } })}`,
      ),
    )
    const reply = await cage
      .addAgent()
      .send(
        'openai',
        'POST',
        '/v1/responses',
        JSON.stringify({ model: 'penny', input: 'x', max_output_tokens: 9, stream: true }),
      )
    expect(reply.text).toContain('[EMAIL_REDACTED]')
    expect(reply.text).not.toMatch(/jane|canary/)
  })
})

describe('a whole reply', () => {
  test('a whole reply in which a name stands twice leaves as it was read', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(200, JSON_TYPE, `{"choices":[],"note":"${EMAIL}","note":"harmless","usage":null}`))
    const reply = await cage.addAgent().chat()
    expect(reply.text).toBe('{"choices":[],"note":"harmless","usage":null}')
  })

  test('a whole reply in which a name stands twice and another ends with a backslash leaves as it was read', async () => {
    const cage = await openTestRuntime()
    const notes = `"note":"${EMAIL}","note":"harmless"`
    cage.provider.does(sends(200, JSON_TYPE, `{"choices":[],${notes},"x\\\\":1,"usage":null}`))
    const reply = await cage.addAgent().chat()
    expect(reply.text).toBe('{"choices":[],"note":"harmless","x\\\\":1,"usage":null}')
  })

  test('a whole reply without a finding leaves as the bytes that came', async () => {
    const cage = await openTestRuntime()
    const body = '{ "choices" : [ {"message":{"content":"a \\"quoted\\": \\u0061 word"}} ],\n "usage":null }'
    cage.provider.does(sends(200, JSON_TYPE, body))
    expect((await cage.addAgent().chat()).text).toBe(body)
  })

  test('a phone number in a whole reply is recognized, and other numbers are kept', async () => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(200, JSON_TYPE, { choices: [], phone: 4_157_332_671, created: 1_700_000_000 }))
    expect((await cage.addAgent().chat()).json()).toEqual({
      choices: [],
      phone: '[PHONE_REDACTED]',
      created: 1_700_000_000,
    })
  })

  test('a whole reply has no tokens beside a text that was redacted', async () => {
    const cage = await openTestRuntime()
    const tokens = ['jane.roe', '@corp', '-canary', '.com'].map((token) => ({ token, bytes: [...Buffer.from(token)] }))
    const choice = (content: string) => ({ index: 0, message: { content }, logprobs: { content: tokens } })
    cage.provider.does(sends(200, JSON_TYPE, { choices: [choice('harmless')] }))
    expect((await cage.addAgent().chat()).json()).toMatchObject({ choices: [{ logprobs: null }] })
  })
})

describe('a reply that is not an answer', () => {
  const escaped = JSON.stringify({ error: { message: `No ${EMAIL}.` } }).replace('@', '\\u0040')

  test.each([400, 429, 500])('an error (%i) is redacted, however it is escaped, and is an incident', async (status) => {
    const cage = await openTestRuntime()
    cage.provider.does(sends(status, JSON_TYPE, escaped))
    const reply = await cage.addAgent().chat()
    expect([reply.status, reply.json()]).toEqual([status, { error: { message: 'No [EMAIL_REDACTED].' } }])
    expect(cage.of('pii.found')).toMatchObject([{ data: { place: 'reply', pii_type: 'email' } }])
  })

  test.each([
    ['block', 422, 'blocked'],
    ['warn', 200, EMAIL],
    ['redact', 200, '[EMAIL_REDACTED]'],
  ])('a stored reply is under the policy as well: %s', async (mode, status, has) => {
    const cage = await openTestRuntime({ safety: { mode } })
    cage.provider.does(sends(200, JSON_TYPE, { id: 'resp_1', output: [{ content: [{ text: EMAIL }] }] }))
    const reply = await cage.addAgent().send('openai', 'GET', '/v1/responses/resp_1')
    expect(reply.status).toBe(status)
    expect(reply.text).toContain(has)
    expect(cage.of('pii.found')).toMatchObject([{ data: { action: mode, place: 'reply' } }])
  })

  test('an error is blocked when the policy blocks', async () => {
    const cage = await openTestRuntime({ safety: { mode: 'block' } })
    cage.provider.does(sends(400, JSON_TYPE, escaped))
    const agent = cage.addAgent()
    const reply = await agent.chat()
    expect(reply.status).toBe(422)
    expect(reply.text).not.toContain('canary')
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })
})
