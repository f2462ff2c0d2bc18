/** openai for Node: chat completions. */
import OpenAI from 'openai'
import { CITY, run, warmth } from './cells.mjs'

const client = new OpenAI()
const TOOL = { type: 'function', function: { name: 'warmth', description: 'How warm it is.', parameters: CITY } }
const create = (messages, model, more) => client.chat.completions.create({ model, max_tokens: 50, messages, ...more })

await run(['openai'], {
  ask: async (content, model) => (await create([{ role: 'user', content }], model)).choices[0].message.content,
  async *stream(content, model) {
    for await (const piece of await create([{ role: 'user', content }], model, { stream: true })) {
      yield piece.choices[0]?.delta.content ?? ''
    }
  },
  async tools(content, model) {
    const messages = [{ role: 'user', content }]
    const first = (await create(messages, model, { tools: [TOOL] })).choices[0].message
    messages.push(first)
    for (const { id, function: called } of first.tool_calls) {
      messages.push({ role: 'tool', tool_call_id: id, content: warmth(JSON.parse(called.arguments)) })
    }
    return (await create(messages, model, { tools: [TOOL] })).choices[0].message.content
  },
})
