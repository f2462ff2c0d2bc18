/** The dialect of Anthropic. */
import type { ErrorCode } from '../../core/errors.ts'
import type { Dialect } from '../dialect.ts'
import { fields } from './fields.ts'
import { messages } from './messages.ts'

export const anthropic: Dialect = {
  name: 'anthropic',
  keyOf: (headers) => headers['x-api-key']?.toString(),
  fields,
  signed: new Set(['thinking', 'redacted_thinking']),
  authenticate: (key) => ({ 'x-api-key': key }),
  requestHeaders: /^anthropic-/,
  replyHeaders: /^anthropic-/,
  prefix: /^(\/anthropic(?=\/v1(\/|$)))?(\/v1(?=\/|$))*/,
  prefixFor: () => '/v1',

  routes: [
    { method: 'POST', path: '/messages', route: messages },
    { method: 'POST', path: '/messages/count_tokens', route: 'unmetered' },
    { method: 'GET', path: '/models', route: 'unmetered' },
    { method: 'GET', path: '/models/{model}', route: 'unmetered' },
  ],

  errorBody: (error, requestId) => ({
    type: 'error',
    error: {
      type: TYPES[error.code] ?? typeOf(error.row.status),
      message: `${error.message} (${error.hint})`,
      code: error.code,
      facts: error.facts,
    },
    request_id: requestId,
  }),

  errorFrame: (error, requestId) => ({ event: 'error', data: JSON.stringify(anthropic.errorBody(error, requestId)) }),
}

const TYPES: Partial<Record<ErrorCode, string>> = {
  budget_exceeded: 'billing_error',
  unauthorized: 'authentication_error',
  not_found: 'not_found_error',
  body_too_large: 'request_too_large',
  budget_held: 'rate_limit_error',
}

const typeOf = (status: number): string =>
  status >= 500 ? 'api_error' : status === 403 ? 'permission_error' : 'invalid_request_error'
