import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { asCageError, type CageError } from '../core/errors.ts'
import { newRequestId } from '../core/ids.ts'
import { otlpError } from './otlp.ts'

/** The one shape of every error on the API. The cause is not sent. */
export const errorBody = (error: CageError, requestId: string) => ({
  error: { code: error.code, message: error.message, hint: error.hint, facts: error.facts, request_id: requestId },
})

/** Maps an error's code to its status. `onFault` receives unexpected errors; `clean` redacts quoted texts. */
export function errorResponse(
  context: Context,
  thrown: unknown,
  onFault: (error: unknown, what: string) => void,
  clean: (text: string) => string,
): Response {
  const error = asCageError(thrown).withTexts(clean)
  const requestId = newRequestId()
  if (error.code === 'internal') onFault(thrown, `${context.req.method} ${context.req.path} failed (${requestId})`)
  if (error.retryAfterS !== undefined) context.header('retry-after', String(error.retryAfterS))
  context.header('x-request-id', requestId)
  const otlp = otlpError(context, error)
  if (otlp) return otlp
  return context.json(errorBody(error, requestId), error.row.status as ContentfulStatusCode)
}
