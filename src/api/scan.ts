import * as z from 'zod'
import { count, type Route, routesOf } from '../http/route.ts'
import type { Deps } from './deps.ts'

const MAX_CHARACTERS = 65_536

/** Tries the policy in force on a text; nothing of it is stored. */
export const scanRoutes = ({ safety }: Pick<Deps, 'safety'>): Route[] => [
  routesOf('State')('POST /api/scan', {
    role: 'viewer',
    summary:
      'Redacts a text as a reply would be redacted, and lists the findings without their values. Nothing is stored.',
    body: z.strictObject({ text: z.string().max(MAX_CHARACTERS) }),
    reply: () =>
      z.object({
        text: z.string().describe('Redacted.'),
        findings: z.array(
          z.object({
            type: z.string(),
            risk: z.enum(['HIGH', 'MEDIUM']),
            action: z.enum(['redact', 'block', 'warn']),
            start: count(),
            end: count(),
          }),
        ),
      }),
    handle: ({ body }) => {
      const { text, findings } = safety.replies.redact(body.text)
      return {
        text,
        findings: findings.map(({ type, risk, action, start, end }) => ({ type, risk, action, start, end })),
      }
    },
  }),
]
