import { expect, test } from 'vitest'
import { converse } from '../../src/dialects/bedrock/converse.ts'
import type { Format } from '../../src/dialects/dialect.ts'
import { generateContent } from '../../src/dialects/google/generate-content.ts'
import type { JsonObject } from '../../src/dialects/json.ts'
import { chat } from '../../src/dialects/ollama/chat.ts'
import { chatCompletions } from '../../src/dialects/openai/chat-completions.ts'
import { readFacts } from '../../src/gateway/call-facts.ts'

const messages = [{ role: 'user', content: 'hello' }]
const contents = [{ role: 'user', parts: [{ text: 'hello' }] }]
const conversed = [{ role: 'user', content: [{ text: 'hello' }] }]

test.each<[name: string, format: Format, body: JsonObject, mayThink: boolean]>([
  ['OpenAI', chatCompletions, { messages }, false],
  ['OpenAI with an effort', chatCompletions, { messages, reasoning_effort: 'low' }, true],
  ['Ollama, which thinks unless told not to', chat, { messages }, true],
  ['Ollama that is told not to', chat, { messages, think: false }, false],
  ['Google, whose models decide', generateContent, { contents }, true],
  ['Bedrock', converse, { messages: conversed }, false],
  [
    'Bedrock with thinking',
    converse,
    { messages: conversed, additionalModelRequestFields: { thinking: { type: 'enabled' } } },
    true,
  ],
])('a request may think according to its dialect: %s', (_name, format, body, mayThink) => {
  const facts = readFacts(format, { model: 'someone/gpt-4-x', ...body }, { named: undefined, models: {} })
  expect(facts.mayThink).toBe(mayThink)
})
