/** The contents of calls, if the configuration keeps them, for admins. The audit records who reads it. */
import * as z from 'zod'
import type { CallContent, Part, Turn } from '../../core/call-content.ts'
import { toAgentId, toCallId } from '../../core/ids.ts'
import { count, named, type Route, routesOf, type Shape, time } from '../../http/route.ts'
import type { Deps } from '../deps.ts'

const route = routesOf('Calls')

export const contentRoutes = ({ gateway: { contents } }: Pick<Deps, 'gateway'>): Route[] => [
  route('GET /api/calls/:id/content', {
    role: 'admin',
    action: 'content.read',
    summary: 'Returns what a call said, redacted, if it was kept. The request is written to the audit log.',
    reply: contentView,
    errors: ['not_found', 'vault_locked', 'vault_broken'],
    handle: ({ params }) => contents.read(toCallId(params.id)),
  }),
  route('POST /api/contents/erase', {
    role: 'admin',
    action: 'content.erase',
    summary: 'Erases what is kept of the calls of an agent, or of all calls.',
    body: z.strictObject({ agent_id: z.string().transform(toAgentId).optional() }),
    reply: () => z.object({ erased: count().describe('Number of calls.') }),
    handle: async ({ body }) => ({ erased: await contents.erase(body.agent_id ?? null) }),
  }),
]

const part = () =>
  z.object({
    kind: z.enum(['text', 'reasoning', 'tool_call', 'tool_result', 'other']),
    name: z.string().optional().describe('Of the tool.'),
    text: z.string(),
  } satisfies Shape<Part>)

const turn = named('Turn', () => z.object({ role: z.string(), parts: z.array(part()) } satisfies Shape<Turn>))

const contentView = named('CallContent', () =>
  z.object({
    call_id: z.string(),
    at: time(),
    request: z.array(turn()).describe('Empty when it was too large to keep.'),
    reply: z.array(turn()).describe('What the agent received; empty without a reply.'),
    cut: z.boolean().describe('Something was too large to keep.'),
  } satisfies Shape<CallContent>),
)
