/** The dialect of OpenAI and of compatible servers. */
import { ERRORS } from '../../core/errors.ts'
import type { Dialect } from '../dialect.ts'
import { chatCompletions } from './chat-completions.ts'
import { completions } from './completions.ts'
import { embeddings } from './embeddings.ts'
import { fields } from './fields.ts'
import { images } from './images.ts'
import { responses } from './responses.ts'

export const openai: Dialect = {
  name: 'openai',
  keyOf: ({ authorization }) => authorization?.replace(/^bearer\s+/i, ''),
  fields,
  signed: new Set(),
  authenticate: (key) => ({ authorization: `Bearer ${key}` }),
  requestHeaders: /^openai-/,
  replyHeaders: /^openai-/,
  // As the vendors' own clients send it: api.groq.com/openai/v1, openrouter.ai/api/v1, api.fireworks.ai/inference/v1 …
  prefix: /^(\/(openai|api|inference)(?=\/v1(\/|$)))?(\/v1(?=\/|$))*/,
  // The base URL has it.
  prefixFor: () => '',

  routes: [
    { method: 'POST', path: '/chat/completions', route: chatCompletions },
    { method: 'POST', path: '/responses', route: responses },
    { method: 'POST', path: '/completions', route: completions },
    { method: 'POST', path: '/embeddings', route: embeddings },
    // Other vendors' images cost something else.
    { method: 'POST', path: '/images/generations', route: images, onlyVendors: true },
    { method: 'GET', path: '/models', route: 'unmetered' },
    { method: 'GET', path: '/models/{model}', route: 'unmetered' },
    // Mistral charges for this route.
    { method: 'POST', path: '/moderations', route: 'unmetered', onlyVendors: true },
    // A stored response was paid for when created; counting is free, compacting is not.
    { method: 'GET', path: '/responses/{id}', route: 'unmetered' },
    { method: 'DELETE', path: '/responses/{id}', route: 'unmetered' },
    { method: 'GET', path: '/responses/{id}/input_items', route: 'unmetered' },
    { method: 'POST', path: '/responses/{id}/cancel', route: 'unmetered' },
    { method: 'POST', path: '/responses/input_tokens', route: 'unmetered', onlyVendors: true },
    // Stored messages of the caller, which responses continue; only the responses cost.
    { method: 'POST', path: '/conversations', route: 'unmetered', onlyVendors: true },
    { method: 'GET', path: '/conversations/{id}', route: 'unmetered', onlyVendors: true },
    { method: 'POST', path: '/conversations/{id}', route: 'unmetered', onlyVendors: true },
    { method: 'DELETE', path: '/conversations/{id}', route: 'unmetered', onlyVendors: true },
    { method: 'GET', path: '/conversations/{id}/items', route: 'unmetered', onlyVendors: true },
    { method: 'POST', path: '/conversations/{id}/items', route: 'unmetered', onlyVendors: true },
    { method: 'GET', path: '/conversations/{id}/items/{id}', route: 'unmetered', onlyVendors: true },
    { method: 'DELETE', path: '/conversations/{id}/items/{id}', route: 'unmetered', onlyVendors: true },
  ],

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
