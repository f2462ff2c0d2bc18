/** The AI SDK at a server of OpenAI's dialect that signs its thoughts, as Google's does. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { jsonSchema, stepCountIs, streamText, tool } from 'ai'

const google = createOpenAICompatible({
  name: 'google',
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
})
const warmth = tool({
  description: 'How warm it is',
  inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } } }),
  execute: async ({ city }) => `4 degrees in ${city}`,
})
const { textStream } = streamText({
  ...{ model: google('gpt-4o-mini'), prompt: 'How warm is it in Oslo?', tools: { warmth }, stopWhen: stepCountIs(3) },
  onError: ({ error }) => {
    console.error(error)
    process.exitCode = 1
  },
})
for await (const piece of textStream) process.stdout.write(piece)
