/** LangChain.js: ChatOpenAI. */
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { CITY, run, warmth } from './cells.mjs'

const TOOL = tool(warmth, { name: 'warmth', description: 'How warm it is.', schema: CITY })
const chat = (model) =>
  new ChatOpenAI({ model, maxTokens: 50, configuration: { baseURL: process.env.OPENAI_BASE_URL } })

await run(['@langchain/openai'], {
  ask: async (prompt, model) => (await chat(model).invoke(prompt)).text,
  async *stream(prompt, model) {
    for await (const chunk of await chat(model).stream(prompt)) yield chunk.text
  },
  async tools(prompt, model) {
    const bound = chat(model).bindTools([TOOL])
    const talk = [new HumanMessage(prompt)]
    const first = await bound.invoke(talk)
    talk.push(first)
    for (const { id, args } of first.tool_calls) talk.push(new ToolMessage({ tool_call_id: id, content: warmth(args) }))
    return (await bound.invoke(talk)).text
  },
})
