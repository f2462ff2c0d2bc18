/** A Control Panel over HTTP. */
import * as z from 'zod'
import type { PanelRequests } from '../budget/budget-requests.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { asCageError, CageError, ERRORS, type ErrorCode } from '../core/errors.ts'
import { fromUsd, toUsd, type Usd, usd } from '../core/money.ts'
import type { AgentRequest } from '../protocol/control-messages.ts'
import {
  DEFAULT_COVER_S,
  type LeaseAnswer,
  type LeaseBank,
  type LeaseUse,
  type NamedBudget,
  type OpenAnswer,
  type Reported,
  type SharedBalance,
  type Statement,
} from '../protocol/lease-messages.ts'
import type { TelemetryAnswer, TelemetryBatch } from '../protocol/telemetry-messages.ts'
import type { FetchSecrets } from '../vault/central-secrets.ts'
import { isSecretName } from '../vault/secret.ts'
import { type ControlPanel, controlAnswer } from './control.ts'
import type { Membership } from './membership.ts'

/** A message is repeated anyway. */
const TIMEOUT_MS = 5_000
/** A panel without news answers after some 20 s. */
const POLL_TIMEOUT_MS = 30_000
/** A panel's answers are far smaller. */
const MAX_ANSWER_BYTES = 1024 * 1024

interface Panel {
  url: string
  token: string
  clock?: Clock
}

interface WireBalance {
  budget: string
  limit_usd: Usd
  settled_usd: Usd
  free_usd: Usd
  ends_at?: string | null
}

/** A panel of an earlier version leaves out unknown parts. */
interface WireUse {
  agent?: string | null
  token?: string | null
  ends_in_ms?: number | null
}

interface WireReported {
  ttl_ms: number
  cover_s?: number
  is_scarce: boolean
  balance: WireBalance
  pools?: { agent: string | null; token: string | null; is_scarce: boolean; balance: WireBalance }[]
  budgets_version?: number
  budgets?: NamedBudget[]
  unknown?: string[]
  bookmark?: string | null
}

/** Joins with an invitation. Throws CageError `unauthorized`, `panel_unreachable`, and the panel's own errors. */
export async function joinPanel(panel: Panel, wanted: { name: string; version: string }): Promise<Membership> {
  // Panels of earlier versions answer no name: two may have the same there.
  const joined = await send<{ runtime_id: string; token: string; name?: string }>(
    panel,
    'POST',
    '/api/runtimes/join',
    wanted,
  )
  const { runtime_id: runtimeId, token, name = wanted.name } = joined
  return { url: panel.url, name, runtimeId, token }
}

/** Ends the membership, also of a runtime that was removed. Throws like `joinPanel`. */
export async function leavePanel(panel: Panel): Promise<void> {
  try {
    await send(panel, 'DELETE', '/api/runtimes/self')
  } catch (error) {
    if (asCageError(error).code !== 'runtime_revoked') throw error
  }
}

/** The panel as the leases of a runtime use it. */
export function panelBank(panel: Panel): LeaseBank {
  const post = <Answer>(path: string, body: object) => send<Answer>(panel, 'POST', `/api/leases/${path}`, body)
  return {
    open: async ({ journalId, epoch: known, generation: presented, bookmark, opening }): Promise<OpenAnswer> => {
      const { epoch, ttl_ms, cover_s, generation, quarantined_count, leases } = await post<{
        epoch: number
        ttl_ms: number
        cover_s?: number
        generation?: number
        quarantined_count?: number
        leases: ({ id: string; granted_usd: Usd } & WireUse)[]
      }>('open', { journal_id: journalId, epoch: known, generation: presented, bookmark, opening })
      return {
        epoch,
        ttlMs: ttl_ms,
        coverS: cover_s ?? DEFAULT_COVER_S,
        ...(generation !== undefined && { generation }),
        ...(quarantined_count !== undefined && { quarantinedCount: quarantined_count }),
        leases: leases.map((lease) => ({ id: lease.id, granted: fromUsd(lease.granted_usd), ...useOf(lease) })),
      }
    },
    request: async ({ epoch, request, least, want, agent, token, bookmark }): Promise<LeaseAnswer> => {
      const amounts = { least_usd: toUsd(least), want_usd: toUsd(want) }
      const names = { ...(agent !== null && { agent }), ...(token !== null && { token }) }
      const answer = await post<WireAnswer>('request', { epoch, request, ...amounts, ...names, bookmark })
      const rest = { balance: balanceOf(answer.balance), isScarce: answer.is_scarce }
      if (answer.outcome !== 'granted') return { outcome: answer.outcome, ...rest }
      const { id, granted_usd, signed = null } = answer
      return { outcome: 'granted', id, granted: fromUsd(granted_usd), signed, ...useOf(answer), ...rest }
    },
    present: (leases) =>
      post('present', { leases: leases.map(({ signed, ...said }) => ({ ...wireStatement(said), signed })) }),
    report: async ({ epoch, statements, budgetsVersion: budgets_version, bookmark }): Promise<Reported> => {
      const said = statements.map(wireStatement)
      const report = { epoch, statements: said, budgets_version, bookmark }
      return reportedOf(await post<WireReported>('report', report))
    },
  }
}

const wireStatement = ({ id, used, returned, held, isFinal }: Statement) => ({
  id,
  used_usd: toUsd(used),
  returned_usd: toUsd(returned),
  held_usd: toUsd(held),
  final: isFinal,
})

const useOf = ({ agent = null, token = null, ends_in_ms: endsInMs = null }: WireUse): LeaseUse => ({
  names: { agent, token },
  endsInMs,
})

const reportedOf = ({
  ttl_ms: ttlMs,
  cover_s,
  budgets_version,
  budgets,
  pools = [],
  unknown = [],
  bookmark = null,
  ...base
}: WireReported): Reported => ({
  ttlMs,
  coverS: cover_s ?? DEFAULT_COVER_S,
  budgetsVersion: budgets_version ?? 0,
  ...(budgets && { budgets }),
  unknown,
  bookmark,
  pools: [{ agent: null, token: null, ...base }, ...pools].map(({ agent, token, is_scarce: isScarce, balance }) => {
    return { agent, token, isScarce, balance: balanceOf(balance) }
  }),
})

/** The panel as the telemetry of a runtime uses it. */
export const sendTelemetry =
  (panel: Panel) =>
  (batch: TelemetryBatch, signal: AbortSignal): Promise<TelemetryAnswer> =>
    send(panel, 'POST', '/api/telemetry', batch, signal)

/** The panel as the control of a runtime uses it. */
export const panelControl = (panel: Panel): ControlPanel => ({
  next: async (known, signal) => {
    const query = known === undefined ? '' : `?known=${encodeURIComponent(known)}`
    return controlAnswer.parse(await send(panel, 'GET', `/api/control${query}`, undefined, signal, POLL_TIMEOUT_MS))
  },
  answer: ({ id }, outcome, signal) =>
    send(panel, 'POST', `/api/control/orders/${encodeURIComponent(id)}`, outcome, signal),
})

/** The panel as agents of a runtime ask it for more. */
export const panelRequests = (panel: Panel): PanelRequests => ({
  ask: async ({ agent, token, amount, reason }) => {
    const body = { agent, token, add_usd: toUsd(amount), reason }
    return agentRequestOf(panel, await send(panel, 'POST', '/api/control/requests', body))
  },
  find: async (id, agent) => {
    const query = `?agent=${encodeURIComponent(agent)}`
    return agentRequestOf(panel, await send(panel, 'GET', `/api/control/requests/${encodeURIComponent(id)}${query}`))
  },
})

/** Throws CageError `panel_unreachable` for an answer of another form. */
function agentRequestOf({ url }: Panel, answer: unknown): AgentRequest {
  const parsed = agentRequest.safeParse(answer)
  if (parsed.success) return parsed.data
  throw unreachable(url, 'its answer has another form', parsed.error)
}

const agentRequest: z.ZodType<AgentRequest> = z.object({
  id: z.string().max(200),
  budget: z.string().max(200),
  add_usd: z
    .string()
    .regex(/^\d{1,10}(\.\d{1,9})?$/)
    .transform(usd),
  reason: z.string(),
  asked_at: z.string(),
  state: z.enum(['pending', 'approved', 'rejected']),
  decision: z.string().nullable(),
})

/** The panel as the secrets of a runtime use it. */
export const fetchSecrets =
  (panel: Panel): FetchSecrets =>
  async (wanted) => {
    const body = { environment: wanted.environment, agent: wanted.agent }
    return centralSecrets.parse(await send(panel, 'POST', '/api/control/secrets', body)).secrets
  }

const centralSecrets = z.object({
  secrets: z
    .array(
      z.object({
        name: z.string().refine(isSecretName),
        version: z.number(),
        value: z.string(),
        agent: z.string().nullable(),
      }),
    )
    .max(1_000),
})

type WireAnswer = { is_scarce: boolean; balance: WireBalance } & (
  | ({ outcome: 'granted'; id: string; granted_usd: Usd; signed?: string | null } & WireUse)
  | { outcome: 'exhausted' | 'lent' }
)

const balanceOf = ({ budget, limit_usd, settled_usd, free_usd, ends_at = null }: WireBalance): SharedBalance => ({
  budget,
  limit: fromUsd(limit_usd),
  settled: fromUsd(settled_usd),
  free: fromUsd(free_usd),
  endsAt: ends_at === null ? null : Date.parse(ends_at),
})

/** Throws CageError `panel_unreachable`, and the panel's own errors. */
async function send<Answer>(
  panel: Panel,
  method: string,
  path: string,
  body?: object,
  signal?: AbortSignal,
  timeoutMs = TIMEOUT_MS,
): Promise<Answer> {
  const { url, token, clock = systemClock } = panel
  const timeout = new AbortController()
  const timer = clock.after(timeoutMs, () => timeout.abort())
  try {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
      redirect: 'error',
      signal: signal ? AbortSignal.any([timeout.signal, signal]) : timeout.signal,
    })
    const text = await readText(response)
    if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as Answer
    throw refusal(url, response.status, text)
  } catch (error) {
    if (error instanceof CageError) throw error
    const { message, cause } = error as Error & { cause?: { code?: string } }
    const why = timeout.signal.aborted
      ? `no answer within ${timeoutMs / 1000} s`
      : DROPPED.includes(cause?.code ?? '')
        ? 'the connection was closed'
        : (cause?.code ?? message)
    throw unreachable(url, why, error)
  } finally {
    timer.cancel()
  }
}

/** How fetch reports a connection that ends before the answer does. */
const DROPPED: readonly string[] = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']

/** Throws RangeError for more than an answer may have. */
async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new RangeError('its answer does not end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Who this runtime is, the panel must know: otherwise it was removed there. */
function refusal(url: string, status: number, text: string): CageError {
  const error = errorOf(text)
  const code = error && Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : undefined
  if (!error || code === undefined || status >= 500) return unreachable(url, error?.message ?? `it answered ${status}`)
  return new CageError(code, error.message, { hint: error.hint })
}

function errorOf(text: string): { code: string; message: string; hint?: string } | undefined {
  try {
    return (JSON.parse(text) as { error?: { code: string; message: string; hint?: string } }).error
  } catch {
    return undefined
  }
}

const unreachable = (url: string, why: string, cause?: unknown): CageError =>
  new CageError('panel_unreachable', `the Control Panel at ${url} cannot be reached: ${why}`, {
    facts: { panel: url },
    cause,
  })
