import * as z from 'zod'
import type { Tags } from '../config/tags.ts'
import { CageError } from '../core/errors.ts'
import { type AgentId, newAgentId, newRunId } from '../core/ids.ts'
import { fromUsd, type Nanodollars, showUsd, toUsd } from '../core/money.ts'
import { who } from '../http/guard.ts'
import { type Route, routesOf } from '../http/route.ts'
import { NEW_TOKEN, newTokenView, tokenView } from '../http/shared-shapes.ts'
import { assertNamesNoPii } from '../redaction/redactor.ts'
import { CLIENT_SCRIPT } from '../state/snapshot.ts'
import type { Deps } from './deps.ts'

type TokenDeps = Pick<Deps, 'config' | 'access' | 'audit' | 'safety' | 'state' | 'money'>

const DAY_S = 86_400

const route = routesOf('Access')

/** API tokens. One with the role agent (the default) gets its own agent and budget. */
export function tokenRoutes(deps: TokenDeps): Route[] {
  const { audit, safety } = deps
  const { apiTokens, sessions } = deps.access
  return [
    route('GET /api/tokens', {
      role: 'admin',
      summary: 'Lists API tokens, without their values.',
      reply: () => z.object({ tokens: z.array(tokenView()) }),
      handle: () => ({ tokens: apiTokens.list() }),
    }),
    route('POST /api/tokens', {
      role: 'admin',
      action: 'token.create',
      summary: 'Creates an API token. With the role agent, it has its own agent and budget.',
      body: NEW_TOKEN,
      reply: newTokenView,
      statuses: [201],
      handle: ({ body: { name, role, budget_usd, expires_in_s: expiresInS, tags }, identity }) => {
        assertNamesNoPii({ name, tags: tags ?? {} }, safety.logs)
        for (const [field, value] of Object.entries({ budget_usd, tags })) {
          if (role === 'agent' || value === undefined) continue
          throw new CageError(
            'bad_request',
            `${field}: only a token of the role agent makes calls, which cost something`,
          )
        }
        const agentId = role === 'agent' ? openClient(deps, { name, limit: budget_usd, tags }) : null
        const created = apiTokens.create({ name, role, agentId, expiresInS, createdBy: identity.name })
        // Without this row its value is not handed out.
        const details = { name, role, agent_id: agentId, expires_at: created.expires_at }
        audit.append({ ...who(identity), action: 'token.created', target: created.id, details })
        return created
      },
    }),
    route('POST /api/tokens/:id/rotate', {
      role: 'admin',
      action: 'token.rotate',
      summary: 'Replaces a token. The old one stays valid for the overlap.',
      body: ROTATION,
      reply: newTokenView,
      statuses: [201],
      errors: ['not_found'],
      handle: ({ params: { id }, body: { overlap_s: overlapS }, identity }) => {
        const created = apiTokens.rotate(id, { overlapS, createdBy: identity.name })
        const details = { replaces: id, overlap_s: overlapS, expires_at: created.expires_at }
        audit.append({ ...who(identity), action: 'token.created', target: created.id, details })
        if (overlapS === 0) sessions.end(id)
        return created
      },
    }),
    route('DELETE /api/tokens/:id', {
      role: 'admin',
      action: 'token.revoke',
      summary: 'Revokes a token.',
      reply: null,
      errors: ['not_found'],
      handle: ({ params: { id } }) => {
        apiTokens.revoke(id)
        // Disconnects viewers that use it.
        sessions.end(id)
      },
    }),
  ]
}

const ROTATION = z.strictObject({
  overlap_s: z
    .number()
    .int()
    .min(0)
    .max(30 * DAY_S)
    .default(DAY_S),
})

/** An agent without a process: it exists as long as its token is valid. */
function openClient(
  { config, state, money, safety }: TokenDeps,
  {
    name,
    limit = fromUsd(config.budget.limit_usd),
    tags = config.agent.tags,
  }: { name: string; limit: Nanodollars | undefined; tags: Tags | undefined },
): AgentId {
  const id = newAgentId(name)
  money.ledger.accounts.openAccount(id, limit)
  state.record({
    type: 'agent.started',
    level: 'OK',
    agent_id: id,
    message: `${name} may make calls, budget ${showUsd(toUsd(limit))}`,
    data: {
      run_id: newRunId(),
      name,
      script: CLIENT_SCRIPT,
      environment: config.agent.environment,
      pid: null,
      restart: 0,
      limit_usd: toUsd(limit),
      safety_mode: safety.mode,
      detect: safety.detect,
      ...(Object.keys(tags).length > 0 && { tags }),
    },
  })
  return id
}
