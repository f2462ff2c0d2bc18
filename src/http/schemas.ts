/** The published data protocol: the JSON Schema of each kind of message. The same on a server and on a Control Panel. */
import * as z from 'zod'
import { CageError } from '../core/errors.ts'
import { type Route, routesOf, type Tag } from './route.ts'

export const schemaRoutes = (tag: Tag): Route<never>[] => {
  const route = routesOf<never, never>(tag)
  return [
    route('GET /api/schemas', {
      role: 'open',
      summary: 'Lists the names of the JSON Schemas of events, calls, reports, telemetry and leases.',
      reply: () => z.object({ version: z.string(), schemas: z.array(z.string()) }),
      handle: async () => {
        const { version, schemas } = await protocol()
        return { version, schemas: Object.keys(schemas) }
      },
    }),
    route('GET /api/schemas/:name', {
      role: 'open',
      summary: 'Returns a JSON Schema (draft 7).',
      reply: () => z.looseObject({ $schema: z.string() }),
      errors: ['not_found'],
      handle: async ({ params: { name } }) => {
        const { schemas } = await protocol()
        if (Object.hasOwn(schemas, name)) return schemas[name] as { $schema: string }
        throw new CageError('not_found', `there is no schema "${name}"`, { hint: 'GET /api/schemas lists them' })
      },
    }),
  ]
}

/** Read on request. */
async function protocol(): Promise<{ version: string; schemas: Readonly<Record<string, object>> }> {
  return (await import('../../python/iron_cage/protocol.json', { with: { type: 'json' } })).default
}
