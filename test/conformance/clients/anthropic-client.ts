/** The @anthropic-ai/sdk package of npm. */
import Anthropic from '@anthropic-ai/sdk'
import { type Case, CITY, obey, PIXEL, QUESTION, warmth } from './lockstep.ts'

type Message = Anthropic.MessageParam

const HELLO: Message[] = [{ role: 'user', content: 'Say hello.' }]
const TOOLS: Anthropic.Tool[] = [{ name: 'warmth', description: 'How warm it is', input_schema: CITY }]

const textOf = ({ content }: Anthropic.Message): string =>
  content.map((block) => (block.type === 'text' ? block.text : '')).join('')
const callsOf = ({ content }: Anthropic.Message) => content.filter((block) => block.type === 'tool_use')
const shown = (call: Anthropic.ToolUseBlock) => ({ name: call.name, arguments: call.input })
const resultsOf = (reply: Anthropic.Message): Message[] => [
  { role: 'assistant', content: reply.content },
  {
    role: 'user',
    content: callsOf(reply).map((call) => ({
      type: 'tool_result' as const,
      tool_use_id: call.id,
      content: warmth(call.input as { city: string }),
    })),
  },
]

const cases: Record<string, Case> = {
  async plain(model) {
    const reply = await new Anthropic().messages.create({ model, messages: HELLO, max_tokens: 50 })
    return { text: textOf(reply), usage: [reply.usage.input_tokens, reply.usage.output_tokens] }
  },

  async streamed(model) {
    let text = ''
    const stream = new Anthropic().messages.stream({ model, messages: HELLO, max_tokens: 50 })
    stream.on('text', (delta) => {
      text += delta
    })
    await stream.done()
    return { text }
  },

  async streamed_usage(model) {
    const stream = new Anthropic().messages.stream({ model, messages: HELLO, max_tokens: 50 })
    const { usage } = await stream.finalMessage()
    return { usage: [usage.input_tokens, usage.output_tokens] }
  },

  async tools(model) {
    const client = new Anthropic()
    const messages: Message[] = [{ role: 'user', content: QUESTION }]
    const first = await client.messages.create({ model, messages, tools: TOOLS, max_tokens: 50 })
    messages.push(...resultsOf(first))
    const last = await client.messages.create({ model, messages, tools: TOOLS, max_tokens: 50 })
    return { calls: callsOf(first).map(shown), text: textOf(last) }
  },

  async streamed_tools(model) {
    const messages: Message[] = [{ role: 'user', content: QUESTION }]
    const stream = new Anthropic().messages.stream({ model, messages, tools: TOOLS, max_tokens: 50 })
    return { calls: callsOf(await stream.finalMessage()).map(shown) }
  },

  async vision(model) {
    const source = { type: 'base64' as const, media_type: 'image/png' as const, data: PIXEL }
    const content = [
      { type: 'image' as const, source },
      { type: 'text' as const, text: 'What is this?' },
    ]
    const reply = await new Anthropic().messages.create({
      model,
      messages: [{ role: 'user', content }],
      max_tokens: 50,
    })
    return { text: textOf(reply) }
  },

  /** A model's thoughts go back unchanged, or the provider refuses it. */
  async thinking(model) {
    const client = new Anthropic()
    const messages: Message[] = [{ role: 'user', content: QUESTION }]
    const wanted = {
      model,
      system: [
        {
          type: 'text' as const,
          text: 'Be brief.',
          cache_control: { type: 'ephemeral' as const, ttl: '1h' as const },
        },
      ],
      tools: TOOLS,
      max_tokens: 2000,
      thinking: { type: 'enabled' as const, budget_tokens: 1024 },
    }
    const whole = await client.messages.create({ ...wanted, messages })
    const first = await client.messages.stream({ ...wanted, messages }).finalMessage()
    await client.messages.create({ ...wanted, messages: [...messages, ...resultsOf(first)] })
    const thought = ({ content }: Anthropic.Message) => content.slice(0, 2).map(({ type: _type, ...block }) => block)
    return { whole: thought(whole), streamed: thought(first) }
  },

  async models(model) {
    const client = new Anthropic()
    const { input_tokens } = await client.messages.countTokens({ model, messages: HELLO })
    return { models: (await client.models.list()).data.map(({ id }) => id), counted: input_tokens }
  },
}

await obey(cases, '@anthropic-ai/sdk')
