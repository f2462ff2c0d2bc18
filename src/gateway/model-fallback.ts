/**
 * Another model, when the one that was asked for cannot answer: what `providers.<name>.fallback` names, one after the
 * other. Each is a call of its own: priced, held, sent and charged for itself, with its provider's own key. Only before
 * the first byte of an answer; what a provider refuses as the caller's own mistake is nobody else's to answer.
 */
import { CageError } from '../errors.ts'
import { newCallId } from '../ids.ts'
import type { LlmCall } from './call.ts'
import { ProviderRefusal } from './send.ts'
import type { Upstream } from './upstream.ts'

/** The call has ended without an answer, and another model may be asked. `cause`: why. */
export class Outage extends Error {
  override readonly name = 'Outage'
}

/** Is this a reason to ask another model? */
export function isOutage(error: unknown): boolean {
  if (error instanceof ProviderRefusal) return error.isRetryable
  return error instanceof CageError && OUTAGES.has(error.code)
}

const OUTAGES: ReadonlySet<string> = new Set(['circuit_open', 'provider_unreachable', 'provider_timeout'])

/**
 * Attempts the call, and while that throws an Outage, the others. `hasNext`: throw an Outage rather than answer with it.
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

async function asFallback(
  upstream: Upstream,
  call: LlmCall,
  other: { provider: string; model: string },
  why: string,
): Promise<LlmCall> {
  // The configuration was refused where one is missing or speaks otherwise.
  const provider = upstream.find(other.provider)!
  const isSame = provider.name === call.provider.name
  return {
    ...call,
    ...(await call.body.withModel(call.format, other.model)),
    id: newCallId(),
    provider,
    // What a client sends its provider, its key above all, is not sent to another.
    headers: isSame ? call.headers : Object.fromEntries(COMMON.map((name) => [name, call.headers[name] ?? '*/*'])),
    sentKey: isSame ? call.sentKey : { ...call.sentKey, value: undefined },
    fallbackFrom: { provider: call.provider.name, model: call.model, why },
  }
}

const COMMON = ['content-type', 'accept', 'accept-encoding'] as const
