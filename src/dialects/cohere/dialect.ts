/** The dialect of Cohere: version 2 of its API. */
import type { CageError } from '../../core/errors.ts'
import type { Dialect } from '../dialect.ts'
import { openai } from '../openai/dialect.ts'
import { chat } from './chat.ts'
import { embed } from './embed.ts'
import { fields } from './fields.ts'
import { rerank } from './rerank.ts'

export const cohere: Dialect = {
  name: 'cohere',
  keyOf: openai.keyOf,
  authenticate: openai.authenticate,
  query: /(?!)/,
  fields,
  signed: new Set(),
  requestHeaders: /^x-client-name$/,
  replyHeaders: /^x-(api-warning|endpoint-monthly-call-limit|trial-endpoint-call-.+)$/,
  prefix: /^/,
  prefixFor: () => '',

  routes: [
    { method: 'POST', path: '/v2/chat', route: chat },
    { method: 'POST', path: '/v2/embed', route: embed },
    { method: 'POST', path: '/v2/rerank', route: rerank },
    { method: 'POST', path: '/v1/tokenize', route: 'unmetered', onlyVendors: true },
    { method: 'POST', path: '/v1/detokenize', route: 'unmetered', onlyVendors: true },
    { method: 'GET', path: '/v1/models', route: 'unmetered' },
    { method: 'GET', path: '/v1/models/{model}', route: 'unmetered' },
  ],

  errorBody: (error, requestId) => ({
    id: requestId,
    message: sentenceOf(error),
    code: error.code,
    facts: error.facts,
  }),

  // As Cohere ends a stream that it cannot complete.
  errorFrame: (error, requestId) => ({
    event: 'message-end',
    data: JSON.stringify({
      type: 'message-end',
      id: requestId,
      delta: { finish_reason: 'ERROR', error: sentenceOf(error) },
    }),
  }),
}

const sentenceOf = ({ message, hint }: CageError): string => `${message} (${hint})`
