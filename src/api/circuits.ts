/** Circuits, and the trust in models. */
import * as z from 'zod'
import type { ModelTrust } from '../budget/trust.ts'
import { CageError } from '../core/errors.ts'
import type { Upstream } from '../gateway/provider/upstream.ts'
import { named, type Route, routesOf, type Shape, time, usd } from '../http/route.ts'
import type { Deps } from './deps.ts'
import { circuitView } from './views.ts'

type CircuitDeps = Pick<Deps, 'state'> & { gateway: Pick<Deps['gateway'], 'circuits'> }

const circuitRoute = routesOf('Circuits')
const modelRoute = routesOf('Models')

export const circuitRoutes = ({ state, gateway: { circuits } }: CircuitDeps): Route[] => [
  circuitRoute('GET /api/circuits', {
    role: 'viewer',
    summary: 'Lists all circuits.',
    reply: () => z.object({ circuits: z.array(circuitView()) }),
    handle: () => ({ circuits: Object.values(state.read().circuits) }),
  }),
  circuitRoute('POST /api/circuits/:name/reset', {
    role: 'admin',
    action: 'circuit.reset',
    summary: 'Closes a circuit.',
    reply: () =>
      z
        .union([circuitView(), z.object({ name: z.string(), state: z.literal('closed') })])
        .describe('Short if never used.'),
    errors: ['not_found'],
    handle: ({ params: { name }, identity }) => {
      circuits.reset(name, identity.name)
      // A circuit that was never used is not in the snapshot.
      return state.read().circuits[name] ?? { name, state: 'closed' as const }
    },
  }),
  circuitRoute('POST /api/circuits/:name/open', {
    role: 'admin',
    action: 'circuit.open',
    summary: 'Opens a circuit until it is reset.',
    reply: circuitView,
    errors: ['not_found'],
    handle: ({ params: { name }, identity }) => {
      circuits.open(name, identity.name)
      return state.read().circuits[name]!
    },
  }),
]

export const modelRoutes = ({ money: { trust } }: Pick<Deps, 'money'>): Route[] => [
  modelRoute('GET /api/models', {
    role: 'viewer',
    summary:
      "Lists what is known about models. Of the vendors' own servers, only models that are refused or cost more are listed.",
    reply: () => z.object({ models: z.array(modelTrust()) }),
    handle: () => ({ models: trust.list() }),
  }),
]

export const trustRoutes = ({ money: { trust }, gateway: { upstream } }: Pick<Deps, 'money' | 'gateway'>): Route[] => [
  modelRoute('POST /api/models/:name/trust', {
    role: 'admin',
    action: 'model.trust',
    summary: 'Trusts "provider/model" or all models of a provider. A refused model can be called again.',
    reply: modelTrust,
    errors: ['not_found'],
    handle: ({ params: { name }, identity }) => trust.trust(name, addressOf(upstream, name), identity.name),
  }),
]

const modelTrust = named('ModelTrust', () =>
  z.object({
    name: z.string().describe('"provider/model", or the provider alone for all of its models.'),
    state: z.enum(['new', 'trusted', 'refused']),
    since: time(),
    factor: z.number().describe('Later reservations are multiplied by it.'),
    overrun: z
      .object({ call_id: z.string(), agent_id: z.string(), bound_usd: usd(), claimed_usd: usd() })
      .nullable()
      .describe('What it is refused for.'),
  } satisfies Shape<ModelTrust>),
)

/** The circuit of the provider in "provider/model". Throws CageError `not_found`. */
function addressOf(upstream: Upstream, name: string): string {
  const [provider] = name.split('/', 1)
  const known = upstream.find(provider!)
  if (known) return known.baseUrl.href
  throw new CageError('not_found', `there is no provider "${provider}"`, {
    facts: { provider },
    hint: 'list models with "iron-cage models list", and providers with "iron-cage config show"',
  })
}
