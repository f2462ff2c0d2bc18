/** The dialect of Ollama: its own API, and OpenAI's formats below /v1. */
import type { Dialect } from '../dialect.ts'
import { chatCompletions } from '../openai/chat-completions.ts'
import { completions } from '../openai/completions.ts'
import { openai } from '../openai/dialect.ts'
import { embeddings } from '../openai/embeddings.ts'
import { chat, generate } from './chat.ts'
import { embed, embedOne } from './embed.ts'
import { fields } from './fields.ts'

export const ollama: Dialect = {
  name: 'ollama',
  keyOf: openai.keyOf,
  authenticate: openai.authenticate,
  query: /(?!)/,
  fields,
  signed: new Set(),
  requestHeaders: /(?!)/,
  replyHeaders: /(?!)/,
  prefix: /^/,
  prefixFor: () => '',

  // Models are loaded, copied and deleted for everybody: that is not for agents.
  routes: [
    { method: 'POST', path: '/api/chat', route: chat },
    { method: 'POST', path: '/api/generate', route: generate },
    { method: 'POST', path: '/api/embed', route: embed },
    { method: 'POST', path: '/api/embeddings', route: embedOne },
    { method: 'GET', path: '/api/tags', route: 'unmetered' },
    { method: 'GET', path: '/api/ps', route: 'unmetered' },
    { method: 'GET', path: '/api/version', route: 'unmetered' },
    { method: 'POST', path: '/api/show', route: 'unmetered' },
    { method: 'POST', path: '/v1/chat/completions', route: chatCompletions },
    { method: 'POST', path: '/v1/completions', route: completions },
    { method: 'POST', path: '/v1/embeddings', route: embeddings },
    { method: 'GET', path: '/v1/models', route: 'unmetered' },
    { method: 'GET', path: '/v1/models/{model}', route: 'unmetered' },
  ],

  errorBody: ({ message, hint, code, facts }, requestId) => ({
    error: `${message} (${hint})`,
    code,
    facts,
    request_id: requestId,
  }),

  errorFrame: (error, requestId) => ({ event: null, data: JSON.stringify(ollama.errorBody(error, requestId)) }),
}
