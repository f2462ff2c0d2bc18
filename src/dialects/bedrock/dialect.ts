/** The dialect of Amazon Bedrock: Converse for all models, and the Messages API of Anthropic's. */
import type { CageError, ErrorCode } from '../../core/errors.ts'
import type { Dialect } from '../dialect.ts'
import type { JsonObject } from '../json.ts'
import { converse, converseStream } from './converse.ts'
import { fields } from './fields.ts'
import { invoke, invokeStream } from './invoke.ts'

export const bedrock: Dialect = {
  name: 'bedrock',
  // A client signs with its own keys: the gateway reads only whose key that is, and signs again.
  keyOf: ({ authorization }) => /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\//.exec(authorization ?? '')?.[1],
  authenticate: (key) => ({ authorization: `Bearer ${key}` }),
  signs: 'aws',
  query: /(?!)/,
  fields,
  signed: new Set(['thinking', 'redacted_thinking', 'reasoningText']),
  // Others choose guardrails, tiers and latencies, which have prices of their own.
  requestHeaders: /^amz-sdk-(invocation-id|request)$/,
  replyHeaders: /^x-amzn-(requestid|errortype|bedrock-[a-z-]+)$/,
  prefix: /^/,
  prefixFor: () => '',

  routes: [
    { method: 'POST', path: '/model/{model}/converse', route: converse },
    { method: 'POST', path: '/model/{model}/converse-stream', route: converseStream },
    { method: 'POST', path: '/model/{model}/invoke', route: invoke },
    { method: 'POST', path: '/model/{model}/invoke-with-response-stream', route: invokeStream },
    { method: 'POST', path: '/model/{model}/count-tokens', route: 'unmetered' },
  ],

  errorBody: (error, requestId) => errorOf(error, requestId),

  errorFrame: (error, requestId) => ({
    event: 'modelStreamErrorException',
    data: JSON.stringify(errorOf(error, requestId)),
  }),
}

/** `__type` is the exception that AWS's clients raise. */
const errorOf = ({ message, hint, code, facts, row }: CageError, requestId: string): JsonObject => ({
  message: `${message} (${hint})`,
  __type:
    TYPES[code] ?? BY_STATUS[row.status] ?? (row.status >= 500 ? 'InternalServerException' : 'ValidationException'),
  reason: code,
  facts,
  request_id: requestId,
})

const TYPES: Partial<Record<ErrorCode, string>> = {
  budget_exceeded: 'ServiceQuotaExceededException',
}

const BY_STATUS: Readonly<Record<number, string>> = {
  401: 'AccessDeniedException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  429: 'ThrottlingException',
  503: 'ServiceUnavailableException',
  504: 'ModelTimeoutException',
}
