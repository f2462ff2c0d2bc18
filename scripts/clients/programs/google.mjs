/** @google/genai: Gemini. */
import { GoogleGenAI } from '@google/genai'
import { CITY, run, warmth } from './cells.mjs'

const client = new GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY })
const TOOLS = [
  { functionDeclarations: [{ name: 'warmth', description: 'How warm it is.', parametersJsonSchema: CITY }] },
]
const generate = (contents, model, tools) =>
  client.models.generateContent({ model, contents, config: { maxOutputTokens: 50, tools } })

await run(['@google/genai'], {
  ask: async (prompt, model) => (await generate(prompt, model)).text,
  async *stream(prompt, model) {
    const config = { maxOutputTokens: 50 }
    for await (const piece of await client.models.generateContentStream({ model, contents: prompt, config })) {
      yield piece.text ?? ''
    }
  },
  async tools(prompt, model) {
    const asked = { role: 'user', parts: [{ text: prompt }] }
    const first = await generate([asked], model, TOOLS)
    const parts = first.functionCalls.map(({ name, args }) => ({
      functionResponse: { name, response: { result: warmth(args) } },
    }))
    return (await generate([asked, first.candidates[0].content, { role: 'user', parts }], model, TOOLS)).text
  },
})
