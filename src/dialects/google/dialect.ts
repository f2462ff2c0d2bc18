/** The dialect of Google's Gemini API. */
import type { ErrorCode } from '../../core/errors.ts'
import type { Dialect } from '../dialect.ts'
import { batchEmbedContents, embedContent } from './embed-content.ts'
import { fields } from './fields.ts'
import { generateContent, streamGenerateContent } from './generate-content.ts'

export const google: Dialect = {
  name: 'google',
  keyOf: (headers) => headers['x-goog-api-key']?.toString(),
  keyParameter: 'key',
  // Others choose the fields, the format or the method of the reply.
  query: /^(alt=(sse|json)|pageSize=\d+|pageToken=.*)$/i,
  fields,
  signed: new Set(),
  authenticate: (key) => ({ 'x-goog-api-key': key }),
  requestHeaders: /^(x-goog-api-client|x-server-timeout)$/,
  replyHeaders: /^x-gemini-/,
  prefix: /^(\/v1(beta|alpha)?(?=\/|$))*/,
  prefixFor: (sent) => /\/v1\w*$/.exec(sent)?.[0] ?? '/v1beta',

  routes: [
    { method: 'POST', path: '/models/{model}:generateContent', route: generateContent },
    { method: 'POST', path: '/models/{model}:streamGenerateContent', route: streamGenerateContent },
    { method: 'POST', path: '/models/{model}:embedContent', route: embedContent },
    { method: 'POST', path: '/models/{model}:batchEmbedContents', route: batchEmbedContents },
    { method: 'POST', path: '/models/{model}:countTokens', route: 'unmetered' },
    { method: 'GET', path: '/models', route: 'unmetered' },
    { method: 'GET', path: '/models/{model}', route: 'unmetered' },
  ],

  // "error" comes first: by that Google's clients know an error in a stream.
  errorBody: (error, requestId) => ({
    error: {
      code: error.row.status,
      message: `${error.message} (${error.hint})`,
      status: STATUSES[error.code] ?? statusOf(error.row.status),
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
          reason: error.code,
          domain: 'iron-cage',
          metadata: { ...error.facts, request_id: requestId },
        },
      ],
    },
  }),

  errorFrame: (error, requestId) => ({ event: null, data: JSON.stringify(google.errorBody(error, requestId)) }),
}

/** Names of google.rpc.Code. */
const STATUSES: Partial<Record<ErrorCode, string>> = {
  budget_exceeded: 'RESOURCE_EXHAUSTED',
  budget_held: 'RESOURCE_EXHAUSTED',
  price_unknown: 'FAILED_PRECONDITION',
}

const statusOf = (status: number): string => BY_STATUS[status] ?? (status >= 500 ? 'INTERNAL' : 'INVALID_ARGUMENT')

const BY_STATUS: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}
