/**
 * Fallback to other models when the requested one cannot answer: those of `providers.<name>.fallback`, in order. Each
 * is a separate call: priced, held, sent and charged separately, with its provider's own key. Only before the first
 * byte of a response; a request that the provider refuses as the caller's mistake does not fall back.
 */
import { CageError } from '../../core/errors.ts'
import { newCallId } from '../../core/ids.ts'
import type { LlmCall } from '../call.ts'
import { ProviderRefusal } from './send.ts'
import type { Upstream } from './upstream.ts'

/** The call ended without an answer, and another model may be tried. `cause`: why. */
export class Outage extends Error {
  override readonly name = 'Outage'
}

/** Returns true if another model may be tried after this error. */
export function isModelOutage(error: unknown): boolean {
  if (error instanceof ProviderRefusal) return error.isRetryable
  return error instanceof CageError && OUTAGES.has(error.code)
}

const OUTAGES: ReadonlySet<string> = new Set(['circuit_open', 'provider_unreachable', 'provider_timeout'])

/**
 * Attempts the call and, while it throws an Outage, the fallbacks. `hasNext`: throw an Outage instead of answering with
 * it.
 */
export async function withModelFallback(
  upstream: Upstream,
  call: LlmCall,
  attempt: (call: LlmCall, hasNext: boolean) => Promise<void>,
): Promise<void> {
  const others = call.provider.settings.fallback
  for (let index = 0, one = call; ; index++) {
    const next = others[index]
    try {
      return await attempt(one, next !== undefined)
    } catch (error) {
      if (!next || !(error instanceof Outage)) throw error
      one = await asFallback(upstream, call, next, error.message)
    }
  }
}

/** Returns the call to another model of the same dialect. `why`: for its event. */
export async function asFallback(
  upstream: Upstream,
  call: LlmCall,
  other: { provider: string; model: string },
  why: string,
): Promise<LlmCall> {
  // The configuration guarantees that it exists and has the same dialect.
  const provider = upstream.find(other.provider)!
  const isSame = provider.name === call.provider.name
  return {
    ...call,
    ...(await call.body.withModel(call.format, other.model)),
    ...inPath(call, other.model),
    id: newCallId(),
    provider,
    // A client's headers for one provider, above all its key, are not sent to another.
    headers: isSame ? call.headers : Object.fromEntries(COMMON.map((name) => [name, call.headers[name] ?? '*/*'])),
    sentKey: isSame ? call.sentKey : { ...call.sentKey, value: undefined },
    fallbackFrom: { provider: call.provider.name, model: call.model, why },
  }
}

/** Names the model in the path of a call whose path names one. */
function inPath({ path, pathModel }: LlmCall, model: string): Pick<LlmCall, 'path' | 'pathModel'> {
  if (pathModel === undefined) return { path, pathModel }
  const { at, length } = pathModel
  const name = encodeURIComponent(model)
  return { path: path.slice(0, at) + name + path.slice(at + length), pathModel: { at, length: name.length } }
}

const COMMON = ['content-type', 'accept', 'accept-encoding'] as const
