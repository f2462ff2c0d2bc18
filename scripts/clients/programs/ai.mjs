/** The Vercel AI SDK, with OpenAI's responses API. */
import { openai } from '@ai-sdk/openai'
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { CITY, run, warmth } from './cells.mjs'

const TOOLS = { warmth: tool({ description: 'How warm it is.', inputSchema: jsonSchema(CITY), execute: warmth }) }

await run(['ai', '@ai-sdk/openai'], {
  ask: async (prompt, model) => (await generateText({ model: openai(model), maxOutputTokens: 50, prompt })).text,
  async *stream(prompt, model) {
    const leaving = new AbortController()
    try {
      yield* streamText({ model: openai(model), maxOutputTokens: 50, prompt, abortSignal: leaving.signal }).textStream
    } finally {
      leaving.abort()
    }
  },
  tools: async (prompt, model) =>
    (await generateText({ model: openai(model), maxOutputTokens: 50, prompt, tools: TOOLS, stopWhen: stepCountIs(3) }))
      .text,
})
