/**
 * The published data protocol, python/iron_cage/protocol.json: one JSON Schema (draft 7) for each kind of message, made
 * from the type of events, and from the inputs and replies of routes. `npm run docs` writes it.
 */
import { resolve } from 'node:path'
import { createGenerator } from 'ts-json-schema-generator'
import * as z from 'zod'
import packageJson from '../package.json' with { type: 'json' }
import { callView } from '../src/api/reports/calls.ts'
import { costReportView } from '../src/api/views.ts'
import { type PanelParts, panelRoutes } from '../src/panel/routes.ts'

type Json = Record<string, unknown>

const root = resolve(import.meta.dirname, '..')

/** Messages of runtimes to a Control Panel: the name of the schema, and the route. */
const MESSAGES: Readonly<Record<string, string>> = {
  telemetry: 'POST /api/telemetry',
  'lease-open': 'POST /api/leases/open',
  'lease-request': 'POST /api/leases/request',
  'lease-report': 'POST /api/leases/report',
  'lease-present': 'POST /api/leases/present',
}

export function generateProtocol(): string {
  const schemas: Record<string, Json> = {
    event: eventSchema(),
    call: schemaOf(callView(), 'output'),
    report: schemaOf(costReportView(), 'output'),
  }
  // No handler runs here.
  const routes = panelRoutes({ fleet: {}, telemetry: {} } as PanelParts)
  for (const [name, route] of Object.entries(MESSAGES)) {
    const { body, reply } = routes.find(({ method, path }) => `${method} ${path}` === route)!
    schemas[name] = schemaOf(body!, 'input')
    if (reply) schemas[`${name}-answer`] = schemaOf(reply(), 'output')
  }
  return `${JSON.stringify({ version: packageJson.version, schemas }, null, 1)}\n`
}

/** Fields and types may be added: unknown fields and types are allowed. */
function eventSchema(): Json {
  const generator = createGenerator({
    path: `${root}/src/core/events.ts`,
    tsconfig: `${root}/tsconfig.json`,
    type: 'RuntimeEvent',
    additionalProperties: true,
    // `npm run check` does.
    skipTypeCheck: true,
  })
  const schema = generator.createSchema('RuntimeEvent') as Json
  const event = (schema.definitions as { RuntimeEvent: { anyOf: { properties: { type: Json } }[] } }).RuntimeEvent
  // The generator adds one of any type, which every event would fit.
  event.anyOf = event.anyOf.filter(({ properties: { type } }) => 'const' in type || 'enum' in type)
  return schema
}

/** `input`: what is accepted, `output`: what is answered, in which fields may be added. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  return z.toJSONSchema(schema, {
    target: 'draft-7',
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
    },
  }) as Json
}
