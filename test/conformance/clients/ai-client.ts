/** The AI SDK, with the provider that the model's name begins with: openai (Responses API), openai-chat, anthropic. */
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { embedMany, generateText, isStepCount, jsonSchema, type LanguageModel, Output, streamText, tool } from 'ai'
import { type Case, CITY, obey, PIXEL, QUESTION, warmth } from './lockstep.ts'

const PROVIDERS: Record<string, (model: string) => LanguageModel> = {
  openai: (model) => createOpenAI()(model),
  'openai-chat': (model) => createOpenAI().chat(model),
  anthropic: (model) => createAnthropic()(model),
}

function model(name: string): LanguageModel {
  const [provider, id] = name.split('/')
  return PROVIDERS[provider!]!(id!)
}

const HELLO = { prompt: 'Say hello.', maxOutputTokens: 50 }
const TOOLS = {
  warmth: tool({
    description: 'How warm it is',
    inputSchema: jsonSchema<{ city: string }>(CITY),
    execute: async (given) => warmth(given),
  }),
}
const ASKED = { prompt: QUESTION, maxOutputTokens: 50, tools: TOOLS, stopWhen: isStepCount(3) }

/** A streamed answer; an error in it arrives as a part, and is thrown here. */
async function read(options: Parameters<typeof streamText>[0]) {
  const stream = streamText({ ...options, onError: () => undefined })
  let text = ''
  const calls: object[] = []
  for await (const part of stream.fullStream) {
    if (part.type === 'error') throw part.error
    if (part.type === 'text-delta') text += part.text
    if (part.type === 'tool-call') calls.push({ name: part.toolName, arguments: part.input })
  }
  return { text, calls, usage: await stream.usage }
}

const cases: Record<string, Case> = {
  async plain(id) {
    const { text, usage } = await generateText({ ...HELLO, model: model(id) })
    return { text, usage: [usage.inputTokens, usage.outputTokens] }
  },

  async streamed(id) {
    const { text } = await read({ ...HELLO, model: model(id) })
    return { text }
  },

  async streamed_usage(id) {
    const { usage } = await read({ ...HELLO, model: model(id) })
    return { usage: [usage.inputTokens, usage.outputTokens] }
  },

  async tools(id) {
    const { text, steps } = await generateText({ ...ASKED, model: model(id) })
    const calls = steps.flatMap(({ toolCalls }) => toolCalls)
    return { text, calls: calls.map((call) => ({ name: call.toolName, arguments: call.input })) }
  },

  async streamed_tools(id) {
    const { text, calls } = await read({ ...ASKED, model: model(id) })
    return { text, calls }
  },

  async vision(id) {
    const content = [
      { type: 'text' as const, text: 'What is this?' },
      { type: 'file' as const, data: PIXEL, mediaType: 'image/png' },
    ]
    const { text } = await generateText({
      model: model(id),
      messages: [{ role: 'user', content }],
      maxOutputTokens: 50,
    })
    return { text }
  },

  async structured(id) {
    const schema = jsonSchema<{ city: string; degrees: number }>({
      type: 'object',
      properties: { city: { type: 'string' }, degrees: { type: 'integer' } },
      required: ['city', 'degrees'],
      additionalProperties: false,
    })
    const { output } = await generateText({ ...HELLO, model: model(id), output: Output.object({ schema }) })
    return output
  },
}

async function embeddings() {
  const model = createOpenAI().embedding('text-embedding-3-small')
  return { vectors: (await embedMany({ model, values: ['one', 'two'] })).embeddings }
}

await obey({ ...cases, embeddings }, 'ai', '@ai-sdk/openai', '@ai-sdk/anthropic')
