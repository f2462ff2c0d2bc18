/** OpenAI, and everything that speaks like it. */
import { ERRORS } from '../../errors.ts'
import type { Dialect, Format, Route } from '../dialect.ts'
import { chatCompletions } from './chat-completions.ts'
import { completions } from './completions.ts'
import { embeddings } from './embeddings.ts'
import { fields } from './fields.ts'
import { responses } from './responses.ts'

const CALLS: Readonly<Record<string, Format>> = {
  '/chat/completions': chatCompletions,
  '/responses': responses,
  '/completions': completions,
  '/embeddings': embeddings,
}

export const openai: Dialect = {
  name: 'openai',
  label: 'OpenAI',
  defaultBaseUrl: 'https://api.openai.com/v1',
  keyVariable: 'OPENAI_API_KEY',
  agentVariables: (address) => ({ OPENAI_BASE_URL: `${address}/v1`, OPENAI_API_BASE: `${address}/v1` }),
  keyOf: ({ authorization }) => authorization?.replace(/^bearer\s+/i, ''),
  fields,
  signed: new Set(),
  authenticate: (key) => ({ authorization: `Bearer ${key}` }),
  requestHeaders: /^openai-/,
  replyHeaders: /^openai-/,
  pathPrefix: '',

  route(method, path): Route {
    if (method === 'POST' && Object.hasOwn(CALLS, path)) return CALLS[path]!
    if (method === 'GET' && /^\/models(\/[^/]+)?$/.test(path)) return 'free'
    if (method === 'POST' && path === '/moderations') return 'free'
    // A stored response was paid for when it was made; to count costs nothing, but to compact does.
    if (/^((GET|DELETE) \/responses\/[^/]+|GET \/responses\/[^/]+\/input_items)$/.test(`${method} ${path}`))
      return 'free'
    if (method === 'POST' && /^\/responses\/([^/]+\/cancel|input_tokens)$/.test(path)) return 'free'
    return 'unpriced'
  },

  errorBody: (error, requestId) => ({
    error: {
      message: `${error.message} (${error.hint})`,
      type: ERRORS[error.code].status >= 500 ? 'server_error' : 'invalid_request_error',
      param: null,
      code: error.code,
      facts: error.facts,
      request_id: requestId,
    },
  }),

  errorFrame: (error, requestId) => ({ event: null, data: JSON.stringify(openai.errorBody(error, requestId)) }),
}
