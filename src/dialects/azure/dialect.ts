/** The dialect of Azure OpenAI: OpenAI's formats, at a deployment's path or below /openai/v1, with a key of Azure. */
import type { Dialect } from '../dialect.ts'
import { chatCompletions } from '../openai/chat-completions.ts'
import { completions } from '../openai/completions.ts'
import { openai } from '../openai/dialect.ts'
import { embeddings } from '../openai/embeddings.ts'

export const azure: Dialect = {
  ...openai,
  name: 'azure',
  keyOf: (headers) => headers['api-key']?.toString(),
  authenticate: (key) => ({ 'api-key': key }),
  query: /^api-version=[\w.-]+$/,
  replyHeaders: /^(openai-|apim-request-id$|x-ms-region$)/,
  prefix: /^(\/openai(?=\/|$))?(\/v1(?=\/|$))*/,
  // With an api-version there is no /v1; clients that know only OpenAI send neither.
  prefixFor: (sent, route) => (sent === '/openai' || route.startsWith('/deployments/') ? '/openai' : '/openai/v1'),

  routes: [
    { method: 'POST', path: '/deployments/{model}/chat/completions', route: chatCompletions },
    { method: 'POST', path: '/deployments/{model}/completions', route: completions },
    { method: 'POST', path: '/deployments/{model}/embeddings', route: embeddings },
    ...openai.routes.filter(({ path }) => path !== '/moderations'),
  ],
}
