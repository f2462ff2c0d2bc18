/** The openai package of npm. */
import OpenAI from 'openai'
import { type Case, CITY, obey, PIXEL, QUESTION, warmth } from './lockstep.ts'

type Chat = OpenAI.Chat.ChatCompletionMessageParam

const HELLO: Chat[] = [{ role: 'user', content: 'Say hello.' }]
const TOOLS = [
  { type: 'function' as const, function: { name: 'warmth', description: 'How warm it is', parameters: CITY } },
]
const given = (text: string) => JSON.parse(text) as { city: string }

const cases: Record<string, Case> = {
  async plain(model) {
    const { choices, usage } = await new OpenAI().chat.completions.create({ model, messages: HELLO, max_tokens: 50 })
    return { text: choices[0]!.message.content, usage: [usage!.prompt_tokens, usage!.completion_tokens] }
  },

  async streamed(model) {
    let text = ''
    const chunks = await new OpenAI().chat.completions.create({
      model,
      messages: HELLO,
      max_tokens: 50,
      stream: true,
    })
    // No chunk without choices comes to a client that did not ask for usage.
    for await (const { choices } of chunks) text += choices[0]!.delta.content ?? ''
    return { text }
  },

  async streamed_usage(model) {
    const stream = new OpenAI().chat.completions.stream({
      model,
      messages: HELLO,
      max_tokens: 50,
      stream_options: { include_usage: true },
    })
    const usage = await stream.totalUsage()
    return { usage: [usage.prompt_tokens, usage.completion_tokens] }
  },

  async tools(model) {
    const client = new OpenAI()
    const asked: Chat[] = [{ role: 'user', content: QUESTION }]
    const first = await client.chat.completions.create({ model, messages: asked, tools: TOOLS, max_tokens: 50 })
    const said = first.choices[0]!.message
    const calls = (said.tool_calls ?? []).filter((call) => call.type === 'function')
    const results = calls.map((call) => ({
      role: 'tool' as const,
      tool_call_id: call.id,
      content: warmth(given(call.function.arguments)),
    }))
    const messages = [...asked, said, ...results]
    const last = await client.chat.completions.create({ model, messages, tools: TOOLS, max_tokens: 50 })
    return {
      calls: calls.map((call) => ({ name: call.function.name, arguments: given(call.function.arguments) })),
      text: last.choices[0]!.message.content,
    }
  },

  async streamed_tools(model) {
    const messages: Chat[] = [{ role: 'user', content: QUESTION }]
    const stream = new OpenAI().chat.completions.stream({ model, messages, tools: TOOLS, max_tokens: 50 })
    const { tool_calls } = await stream.finalMessage()
    const calls = (tool_calls ?? []).filter((call) => call.type === 'function')
    return { calls: calls.map((call) => ({ name: call.function.name, arguments: given(call.function.arguments) })) }
  },

  async vision(model) {
    const image = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${PIXEL}` } }
    const messages: Chat[] = [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, image] }]
    const { choices } = await new OpenAI().chat.completions.create({ model, messages, max_tokens: 50 })
    return { text: choices[0]!.message.content }
  },

  async structured(model) {
    const schema = { type: 'object', properties: { city: { type: 'string' }, degrees: { type: 'integer' } } }
    const { choices } = await new OpenAI().chat.completions.parse({
      model,
      messages: HELLO,
      max_tokens: 50,
      response_format: { type: 'json_schema', json_schema: { name: 'place', schema } },
    })
    return JSON.parse(choices[0]!.message.content!) as object
  },

  async embeddings() {
    const { data } = await new OpenAI().embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] })
    return { vectors: data.map(({ embedding }) => embedding) }
  },

  async models() {
    return { models: (await new OpenAI().models.list()).data.map(({ id }) => id) }
  },

  async responses(model) {
    const reply = await new OpenAI().responses.create({ model, input: 'Say hello.', max_output_tokens: 50 })
    return { text: reply.output_text }
  },

  async streamed_responses(model) {
    const stream = await new OpenAI().responses.create({
      model,
      input: 'Say hello.',
      max_output_tokens: 50,
      stream: true,
    })
    const events: OpenAI.Responses.ResponseStreamEvent[] = []
    for await (const event of stream) events.push(event)
    return {
      text: events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join(''),
      numbers: events.map((event) => event.sequence_number),
      types: events.map(({ type }) => type),
    }
  },

  async responses_tools(model) {
    const client = new OpenAI()
    const tools = [{ type: 'function' as const, name: 'warmth', parameters: CITY, strict: false }]
    const asked = { role: 'user' as const, content: QUESTION }
    const stream = client.responses.stream({ model, input: [asked], tools, max_output_tokens: 50 })
    const calls = (await stream.finalResponse()).output.filter((item) => item.type === 'function_call')
    const input = [
      asked,
      ...calls.map(({ call_id, name, arguments: text }) => ({
        type: 'function_call' as const,
        call_id,
        name,
        arguments: text,
      })),
      ...calls.map(({ call_id, arguments: text }) => ({
        type: 'function_call_output' as const,
        call_id,
        output: warmth(given(text)),
      })),
    ]
    const last = await client.responses.create({ model, input, tools, max_output_tokens: 50 })
    return {
      calls: calls.map((call) => ({ name: call.name, arguments: given(call.arguments) })),
      text: last.output_text,
    }
  },

  async stored_responses() {
    const client = new OpenAI()
    const found = (await client.responses.retrieve('resp_1')).output_text
    const items = (await client.responses.inputItems.list('resp_1')).data.length
    const cancelled = (await client.responses.cancel('resp_1')).id
    await client.responses.delete('resp_1')
    return { found, items, cancelled }
  },
}

await obey(cases, 'openai')
