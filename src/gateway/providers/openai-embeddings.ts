/** OpenAI's embeddings: text in, vectors out; only the input costs. */
import { isObject, requireModel } from '../json.ts'
import { type Format, type StreamReader, tokenCount } from './provider.ts'

export const embeddings: Format = {
  readCall: (body) => ({
    model: requireModel(body),
    stream: false,
    maxOutputTokens: 1,
    answers: 1,
    wantsUsage: true,
    isInputUnseen: false,
  }),

  prepare: (body) => body,

  textOf: (body) => () => JSON.stringify(body.input),

  usageOf({ usage }) {
    const input = isObject(usage) ? tokenCount(usage.prompt_tokens) : undefined
    if (input === undefined) return undefined
    const nothing = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0, output: 0 }
    return { usage: { input, ...nothing }, isFinal: true, isRepaired: false }
  },

  redactReply: (reply) => reply,

  readStream(): StreamReader {
    throw new Error('embeddings are never streamed')
  },
}
