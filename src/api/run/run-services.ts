/** Circuits that agents share for calls of their own code, as they share the gateway's for calls through it. */
import * as z from 'zod'
import { BREAKER_DEFAULTS } from '../../breaker/breaker.ts'
import type { CircuitSettings, Permit } from '../../breaker/circuits.ts'
import { TIER_WORDS } from '../../breaker/fallback.ts'
import type { Config } from '../../config/schema.ts'
import { CageError } from '../../core/errors.ts'
import { type AgentId, newRequestId } from '../../core/ids.ts'
import type { Upstream } from '../../gateway/provider/upstream.ts'
import { circuitSettings } from '../../gateway/services/run-service-call.ts'
import { shortText } from '../../http/body.ts'
import { type Route, routesOf } from '../../http/route.ts'
import { type RunDeps, runOf } from './run-of.ts'

/** Per agent. The oldest permits without a report are dropped: such a probe gave no result. */
const MAX_PERMITS = 1_000
/** Per agent: each may open, and raise an alert. */
const MAX_CIRCUITS = 20

interface Used {
  /** Circuits that are not in the configuration. */
  names: Set<string>
  permits: Map<string, Permit>
}

const route = routesOf('Own run')

export function serviceRoutes(
  { config, gateway: { circuits, upstream }, state }: RunDeps,
  clean: (agentId: AgentId, text: string) => string,
): Route[] {
  const used = new Map<string, Used>()
  const usedBy = (agentId: AgentId): Used => {
    const known = used.get(agentId) ?? { names: new Set(), permits: new Map() }
    used.set(agentId, known)
    return known
  }
  state.subscribe((event) => {
    if (event.type === 'agent.exited' && event.data.state !== 'starting') used.delete(event.agent_id!)
  })
  const nameIn = (given: string, agentId: AgentId): string => {
    const name = clean(agentId, nameOf(given))
    if (Object.hasOwn(config.services, name)) return name
    const { names } = usedBy(agentId)
    if (!names.has(name) && names.size >= MAX_CIRCUITS) {
      throw new CageError(
        'bad_request',
        `an agent can have at most ${MAX_CIRCUITS} circuits, and "${name}" would be one more`,
        {
          facts: { circuit: name },
          hint: 'name circuits after the called service, not after the request; configured services do not count',
        },
      )
    }
    names.add(name)
    return name
  }
  return [
    route('POST /api/run/services/:name/begin', {
      role: 'agent',
      summary:
        'Requests permission to call a service. Refused while its circuit is open. A configured service has its settings from there.',
      body: CIRCUIT_BEGIN,
      reply: () => z.object({ permit: z.string().describe('For the matching end request.') }),
      errors: ['circuit_open'],
      handle: ({ params, body, identity }) => {
        const { agentId } = runOf(identity)
        const name = nameIn(params.name, agentId)
        // One agent's reports about a configured service must not block it for all agents.
        const circuit = Object.hasOwn(config.services, name) ? `${name}@${agentId}` : name
        const permit = circuits.enter(circuit, settingsFor(name, body, config.services, upstream))
        const id = newRequestId()
        const { permits } = usedBy(agentId)
        permits.set(id, permit)
        if (permits.size > MAX_PERMITS) permits.delete(permits.keys().next().value!)
        return { permit: id }
      },
    }),
    route('POST /api/run/services/:name/end', {
      role: 'agent',
      summary: 'Reports the outcome of a call to a service, or that a fallback answered.',
      body: CIRCUIT_END,
      reply: null,
      handle: ({ params, body: end, identity }) => {
        const { agentId } = runOf(identity)
        const name = nameIn(params.name, agentId)
        const reason = clean(agentId, end.reason)
        if (end.outcome === 'fallback') {
          return void state.record({
            type: 'fallback.used',
            level: 'WARN',
            agent_id: agentId,
            message: `${name} answered by its ${TIER_WORDS[3]} · ${reason}`,
            data: { service: name, tier: 3, why: reason },
          })
        }
        const { permits } = usedBy(agentId)
        const permit = permits.get(end.permit)
        permits.delete(end.permit)
        if (end.outcome === 'succeeded') permit?.succeeded()
        else if (end.outcome === 'ignored') permit?.ignored()
        else permit?.failed(reason, end.retry_after_s && end.retry_after_s * 1000)
      },
    }),
  ]
}

/** Throws CageError `bad_request` for a provider: an agent must not be able to block the models of all agents. */
function settingsFor(
  name: string,
  body: z.output<typeof CIRCUIT_BEGIN>,
  services: Config['services'],
  upstream: Upstream,
): CircuitSettings {
  if (upstream.find(name)) {
    throw new CageError('bad_request', `the circuit of the provider ${name} is the server's own`, {
      facts: { circuit: name },
      hint: 'name it after the called service, such as "serp_api"',
    })
  }
  const service = Object.hasOwn(services, name) ? services[name] : undefined
  if (service) return circuitSettings(service)
  const { failures, cooldown_s, timeout_s, has_fallback } = body
  return {
    failures,
    cooldownMs: cooldown_s * 1000,
    probeMs: timeout_s * 1000,
    fallbackTier: has_fallback ? 3 : null,
  }
}

function nameOf(name: string): string {
  if (/^[\w.-]{1,60}$/.test(name)) return name
  throw new CageError('bad_request', 'expected a short name of a circuit such as "serp_api"')
}

const CIRCUIT_BEGIN = z.strictObject({
  failures: z.number().int().min(1).max(1000).default(BREAKER_DEFAULTS.failures),
  cooldown_s: z
    .number()
    .min(0)
    .max(86_400)
    .default(BREAKER_DEFAULTS.cooldownMs / 1000),
  timeout_s: z.number().min(1).max(86_400).default(600).describe('Maximum duration of a probe, in seconds.'),
  has_fallback: z.boolean().default(false),
})

const reason = shortText(200).default('failed')

const CIRCUIT_END = z.discriminatedUnion('outcome', [
  z.strictObject({
    outcome: z.enum(['succeeded', 'failed', 'ignored']),
    permit: z.string().max(40),
    reason,
    retry_after_s: z.number().min(0).max(86_400).optional(),
  }),
  z.strictObject({ outcome: z.literal('fallback'), reason }),
])
