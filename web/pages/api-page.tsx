/** The page about the API, at `#/api`: the routes of the server's own OpenAPI document, by resource. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Page } from '../parts/page.tsx'
import { Fault, faultText, Tag } from '../parts/parts.tsx'
import { send } from '../session.ts'
import './api-page.css'

interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  default?: unknown
  description?: string
}

interface Operation {
  tags: string[]
  summary: string
  'x-role': string
  'x-same-as'?: string
  parameters?: { name: string; in: string; required: boolean; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, { description?: string; content?: Record<string, { schema: Schema }> }>
}

interface Document {
  info: { version: string; description: string }
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

interface Route extends Operation {
  method: string
  path: string
  /** Further paths of the same route. */
  also: string[]
}

export function ApiPage() {
  const document = useSignal<Document | null>(null)
  const fault = useSignal<string | null>(null)
  useEffect(() => {
    send<Document>('GET', '/api/openapi.json').then(
      (answer) => {
        document.value = answer
      },
      (error: unknown) => {
        fault.value = faultText(error)
      },
    )
  }, [])
  const shown = document.value
  return (
    <Page class="api-page" title={<>API {shown && <span class="dim">of Iron Cage {shown.info.version}</span>}</>}>
      <Fault text={fault.value} />
      {shown && (
        <>
          <p class="lead">
            Send <code>Authorization: Bearer</code> with a token from <code>iron-cage tokens create</code>. For
            programs, all this is <code>GET /api/openapi.json</code> (OpenAPI 3.1). {shown.info.description}
          </p>
          {shown.tags.map(({ name, description }) => (
            <section key={name} aria-label={name}>
              <h2>{name}</h2>
              <p class="dim">{description}</p>
              {routesOf(shown, name).map((route) => (
                <RouteFacts key={`${route.method} ${route.path}`} route={route} schemas={shown.components.schemas} />
              ))}
            </section>
          ))}
        </>
      )}
    </Page>
  )
}

function routesOf({ paths }: Document, tag: string): Route[] {
  const all = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
  return all
    .filter((operation) => operation.tags.includes(tag) && !operation['x-same-as'])
    .map((operation) => {
      const twins = all.filter((other) => other['x-same-as'] === operation.path && other.method === operation.method)
      return { ...operation, also: twins.map(({ path }) => path) }
    })
}

function RouteFacts({ route, schemas }: { route: Route; schemas: Record<string, Schema> }) {
  const body = Object.values(route.requestBody?.content ?? {})[0]?.schema
  const [status, answer] = Object.entries(route.responses)[0]!
  const types = Object.entries(answer.content ?? {})
  return (
    <details class="route">
      <summary>
        <b class="mono">{route.method}</b>
        <span class="mono path">{route.path}</span>
        <Role name={route['x-role']} />
        <span class="dim">{route.summary}</span>
      </summary>
      <div class="facts">
        {route.also.length > 0 && (
          <p>
            Also at <code>{route.also.join(', ')}</code>
          </p>
        )}
        {route.parameters && (
          <>
            <h3>Parameters</h3>
            <dl>
              {route.parameters.map(({ name, in: place, required, schema }) => (
                <Field key={name} name={name} schema={schema} isRequired={required} place={place} />
              ))}
            </dl>
          </>
        )}
        {body && alternatives(body).map((schema, at) => <Fields key={at} title={at ? 'Or' : 'Body'} schema={schema} />)}
        {types.map(([type, { schema }]) => (
          <Fields
            key={type}
            title={`Response ${status}, ${type}`}
            schema={(schema.$ref && schemas[nameOf(schema.$ref)]) || schema}
            isAnswer
          />
        ))}
        {types.length === 0 && <h3>Response {status}, empty</h3>}
      </div>
    </details>
  )
}

const Role = ({ name }: { name: string }) => (
  <Tag tone={name === 'admin' ? 'warn' : name === 'open' ? 'off' : 'info'}>{name === 'any' ? 'any token' : name}</Tag>
)

const alternatives = (schema: Schema): Schema[] => schema.anyOf ?? schema.oneOf ?? [schema]

function Fields({ title, schema, isAnswer = false }: { title: string; schema: Schema; isAnswer?: boolean }) {
  const fields = Object.entries(schema.properties ?? {})
  return (
    <>
      <h3>{title}</h3>
      {fields.length > 0 && (
        <dl>
          {fields.map(([name, field]) => (
            <Field key={name} name={name} schema={field} isRequired={!isAnswer && schema.required?.includes(name)} />
          ))}
        </dl>
      )}
    </>
  )
}

function Field(props: { name: string; schema: Schema; isRequired?: boolean | undefined; place?: string }) {
  const { name, schema, isRequired, place } = props
  const facts = [
    typeOf(schema),
    place === 'path' && 'in the path',
    isRequired && place !== 'path' && 'required',
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
    schema.description,
  ]
  return (
    <>
      <dt class="mono">{name}</dt>
      <dd>{facts.filter(Boolean).join(' · ')}</dd>
    </>
  )
}

const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1)

/** For people, such as "string | null" or "string[]"; empty when the description is enough. */
function typeOf(schema: Schema): string {
  if (schema.$ref) return nameOf(schema.$ref)
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ')
  if (schema.items) return `${typeOf(schema.items)}[]`
  if (schema.type) return [schema.type].flat().join(' | ')
  return schema.description ? '' : 'any JSON'
}
