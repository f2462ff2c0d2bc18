/** The dialect of Google's Vertex AI: Anthropic's Messages API and Gemini, below a project and a location. */
import { anthropic } from '../anthropic/dialect.ts'
import { messagesAt } from '../anthropic/elsewhere.ts'
import type { Dialect, RouteRule } from '../dialect.ts'
import { google } from '../google/dialect.ts'
import { generateContent, streamGenerateContent } from '../google/generate-content.ts'
import { openai } from '../openai/dialect.ts'
import { fields } from './fields.ts'

const PLACE = '/projects/{id}/locations/{id}/publishers'

const ruleOf = (model: string, route: RouteRule['route']): RouteRule => ({ method: 'POST', path: PLACE + model, route })

export const vertex: Dialect = {
  name: 'vertex',
  keyOf: openai.keyOf,
  authenticate: openai.authenticate,
  signs: 'google',
  query: /^alt=(sse|json)$/i,
  fields,
  signed: anthropic.signed,
  requestHeaders: /^(anthropic-(version|beta)|x-goog-api-client|x-server-timeout)$/,
  replyHeaders: /(?!)/,
  prefix: /^(\/v1(beta1)?(?=\/|$))*/,
  prefixFor: (sent) => /\/v1\w*$/.exec(sent)?.[0] ?? '/v1',

  routes: [
    ruleOf('/anthropic/models/count-tokens:rawPredict', 'unmetered'),
    ruleOf('/anthropic/models/{model}:rawPredict', messagesAt('raw-predict', false)),
    ruleOf('/anthropic/models/{model}:streamRawPredict', messagesAt('stream-raw-predict', true)),
    ruleOf('/google/models/{model}:generateContent', generateContent),
    ruleOf('/google/models/{model}:streamGenerateContent', streamGenerateContent),
    ruleOf('/google/models/{model}:countTokens', 'unmetered'),
  ],

  // Clients of both read it: each knows the fields of its own vendor.
  errorBody(error, requestId) {
    const [theirs, googles] = [anthropic, google].map((one) => one.errorBody(error, requestId))
    return {
      error: { ...(theirs!.error as object), ...(googles!.error as object) },
      type: 'error',
      request_id: requestId,
    }
  },

  errorFrame: (error, requestId) => ({ event: 'error', data: JSON.stringify(vertex.errorBody(error, requestId)) }),
}
