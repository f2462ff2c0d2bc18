/** Anthropic's Messages API on servers of other vendors: the path names the model and whether it is streamed. */
import type { Format } from '../dialect.ts'
import { messages } from './messages.ts'

export const messagesAt = (name: string, isStream: boolean): Format => ({
  ...messages,
  name,
  readCall: (body) => ({ ...messages.readCall(body), stream: isStream }),
  prepare: (body, limits) => ({ ...messages.prepare(body, limits), model: undefined }),
})
