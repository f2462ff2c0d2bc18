/**
 * Writes the generated parts of docs/, Python's table of exit codes, its types of personal data, and the data protocol: `npm run docs`. Each part stands between
 * `<!-- generated: name -->` and `<!-- end -->` and is made from what the program itself uses. test/documents fails when a file differs.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { readServerFile } from '../src/access/server-file.ts'
import { agentEnvironment } from '../src/agents/environment.ts'
import { runCli } from '../src/cli/cli.ts'
import { EXIT_CODES } from '../src/cli/commands/help.ts'
import { processTerminal } from '../src/cli/output/terminal.ts'
import { SETTINGS, VARIABLES } from '../src/config/env.ts'
import { POLICY_SETTINGS } from '../src/config/policy.ts'
import { configSchema } from '../src/config/schema.ts'
import { ERRORS } from '../src/core/errors.ts'
import type { AgentId } from '../src/core/ids.ts'
import { PII, PII_TYPES } from '../src/core/pii-types.ts'
import { BUILT_IN, KNOWN_PROVIDER_NAMES, knownProvider } from '../src/dialects/known-providers.ts'
import { GENERAL_ERRORS } from '../src/http/openapi.ts'
import { openRuntime } from '../src/index.ts'
import { generateProtocol } from './protocol.ts'

const docs = resolve(import.meta.dirname, '../docs')

type Json = Readonly<Record<string, unknown>>

const PARTS: Readonly<Record<string, Readonly<Record<string, () => string | Promise<string>>>>> = {
  'agents.md': { 'agent variables': agentVariables },
  'api.md': { routes: routeTables, schemas: schemaTables },
  'commands.md': { commands: commandHelp },
  'configuration.md': {
    'known providers': knownProviders,
    keys: configurationKeys,
    variables: environmentVariables,
  },
  'production.md': { policy: policySettings },
  'errors.md': { errors: errorTable, 'exit codes': exitCodeTable },
}

/** Every file that is generated, whole or in part, by its path below docs/, as it should be. Throws Error when a part has no place. */
export async function generateDocs(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for (const [file, parts] of Object.entries(PARTS)) {
    let text = readFileSync(join(docs, file), 'utf8')
    for (const [name, generate] of Object.entries(parts)) {
      const [before, rest] = split(text, `<!-- generated: ${name} -->\n`, file)
      const [, after] = split(rest, '<!-- end -->', file)
      text = `${before}<!-- generated: ${name} -->\n\n${await generate()}\n\n<!-- end -->${after}`
    }
    files.set(file, text)
  }
  files.set('../python/iron_cli/exit_codes.py', exitCodesOfPython())
  files.set('../python/iron_cage/_pii_types.py', piiTypesOfPython())
  files.set('../python/iron_cage/protocol.json', generateProtocol())
  return files
}

function split(text: string, mark: string, file: string): [before: string, after: string] {
  const at = text.indexOf(mark)
  if (at < 0) throw new Error(`docs/${file} has no ${mark.trim()}`)
  return [text.slice(0, at), text.slice(at + mark.length)]
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

const cell = (text: string): string => text.replaceAll(/(?<!\\)\|/g, '\\|').replaceAll('\n', ' ')

const code = (text: string): string => `\`${text}\``

/** The settings of a policy. */
function policySettings(): string {
  const rows = POLICY_SETTINGS.map(({ key, how }) => [code(key), how])
  return table(['setting', 'value that counts'], rows)
}

/** One table for each section of the configuration. */
function configurationKeys(): string {
  const { properties } = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as {
    properties: Record<string, Json>
  }
  return Object.entries(properties)
    .map(([section, schema]) => {
      const rows = keysBelow(schema, section).map(({ key, schema: { description = '', ...type }, isRequired }) => [
        code(key),
        typeOf(type),
        isRequired ? 'required' : shownDefault(type),
        linked(description),
      ])
      return `### ${section}\n\n${linked(schema.description)}\n\n${table(['key', 'type', 'default', 'description'], rows)}`
    })
    .join('\n\n')
}

/** A description with its documents as links. */
const linked = (description: unknown): string => String(description).replaceAll(/docs\/([\w-]+\.md)/g, '[$1]($1)')

interface ConfigKey {
  /** `<name>` stands for a name that the user chooses, `[]` for an entry of a list. */
  key: string
  schema: Json
  isRequired: boolean
}

function keysBelow(schema: Json, path: string): ConfigKey[] {
  const {
    properties,
    additionalProperties,
    items,
    required = [],
  } = schema as {
    properties?: Record<string, Json>
    additionalProperties?: Json
    items?: Json
    required?: readonly string[]
  }
  if (additionalProperties?.properties) return keysBelow(additionalProperties, `${path}.<name>`)
  if (items?.properties) return keysBelow(items, `${path}[]`)
  return Object.entries(properties ?? {}).flatMap(([name, below]) => {
    const key = `${path}.${name}`
    return [{ key, schema: below, isRequired: required.includes(name) }, ...keysBelow(below, key)]
  })
}

const shownDefault = ({ default: value }: Json): string =>
  value === undefined || JSON.stringify(value) === '{}' ? '' : code(JSON.stringify(value).replaceAll('"', ''))

interface TypeFacts {
  title?: string
  enum?: readonly string[]
  type?: string | readonly string[]
  format?: string
  anyOf?: readonly Json[]
  items?: Json
  properties?: Json
  additionalProperties?: Json
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
}

function typeOf(schema: Json): string {
  const facts = schema as TypeFacts
  const { minimum, exclusiveMinimum, maximum } = facts
  if (facts.title) return facts.title
  if (facts.enum) return facts.enum.map(code).join(', ')
  if (facts.anyOf) return [...new Set(facts.anyOf.map(typeOf))].join(' or ')
  if (facts.items) return facts.items.properties ? 'list of objects' : `list of ${typeOf(facts.items)}`
  if (facts.properties) return 'object'
  if (facts.additionalProperties) return `map of ${typeOf(facts.additionalProperties)}`
  if (facts.format === 'uri') return 'URL'
  if (facts.type === undefined) return 'any JSON'
  const least = minimum?.toLocaleString('en-US') ?? (exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`)
  const range = least && maximum !== undefined ? [`${least} to ${maximum.toLocaleString('en-US')}`] : []
  return [[facts.type].flat().join(' or '), ...range].join(', ')
}

function environmentVariables(): string {
  const settings = SETTINGS.map(([name, key]) => [name, `Sets ${code(key.join('.'))}.`] as const)
  return table(
    ['variable', 'description'],
    [...settings, ...Object.entries(VARIABLES)].map(([name, description]) => [code(name), description]),
  )
}

function knownProviders(): string {
  return table(
    ['provider', 'address', 'key', 'variables for clients'],
    KNOWN_PROVIDER_NAMES.map((name) => {
      const { baseUrl, keyVariables, agentVariables } = knownProvider(name)!
      const variables = Object.keys(agentVariables(''))
      return [code(name), baseUrl ?? 'your own', keyVariables.map(code).join(', '), variables.map(code).join(', ')]
    }),
  )
}

/** What `agentEnvironment` adds, for an agent in "inject" mode. */
function agentVariables(): string {
  const none = {
    parent: {},
    added: {},
    secrets: {},
    providerKeys: 'inject',
    providers: BUILT_IN,
    telemetry: true,
    providerKeyNames: [],
  } as const
  const run = { agentId: '<agent id>' as AgentId, runToken: '<run token>', runAddress: '<run>' }
  const server = { serverUrl: 'http://127.0.0.1:8080', shimFolder: '<the Python SDK>' }
  const variables = Object.entries(agentEnvironment({ ...none, ...run, ...server }))
  return table(
    ['variable', 'value'],
    variables.map(([name, value]) => [code(name), code(value)]),
  )
}

function errorTable(): string {
  return table(
    ['code', 'HTTP', 'exit', 'what to do'],
    Object.entries(ERRORS).map(([name, { status, exit, hint }]) => [code(name), String(status), String(exit), hint]),
  )
}

function exitCodeTable(): string {
  return table(
    ['exit code', 'meaning'],
    EXIT_CODES.map(([exit, meaning]) => [String(exit), meaning]),
  )
}

function exitCodesOfPython(): string {
  const rows = Object.entries(ERRORS).map(([name, { exit }]) => `    "${name}": ${exit},`)
  return [
    '"""Exit codes by error code, written by `npm run docs` from the table of errors."""',
    '',
    'from __future__ import annotations',
    '',
    'EXIT_CODES: dict[str, int] = {',
    ...rows,
    '}',
    '',
  ].join('\n')
}

function piiTypesOfPython(): string {
  const rows = PII_TYPES.map((type) => `    "${type}": "${PII[type].risk}",`)
  return [
    '"""The types of personal data and their risks, written by `npm run docs` from `src/core/pii-types.ts`."""',
    '',
    'from __future__ import annotations',
    '',
    'from typing import Literal',
    '',
    'PiiType = Literal[',
    ...PII_TYPES.map((type) => `    "${type}",`),
    ']',
    'Risk = Literal["HIGH", "MEDIUM"]',
    '',
    'RISKS: dict[PiiType, Risk] = {',
    ...rows,
    '}',
    '',
  ].join('\n')
}

/** The help of every command and subcommand, as the program prints it. */
async function commandHelp(): Promise<string> {
  const blocks: string[] = []
  const visit = async (words: readonly string[]): Promise<void> => {
    const help = await helpOf(words)
    const heading = words.length > 1 ? `### iron-cage ${words.join(' ')}` : `## iron-cage ${words.join(' ')}`.trim()
    blocks.push(`${heading}\n\n\`\`\`text\n${help}\n\`\`\``)
    for (const name of subcommandsIn(help, words)) await visit([...words, name])
  }
  await visit([])
  return blocks.join('\n\n')
}

/** The commands that the help of `words` lists. */
export function subcommandsIn(help: string, words: readonly string[]): string[] {
  const list = (help.split('\nCommands:\n')[1] ?? '').split('\n\n')[0]!
  const before = ['iron-cage', ...words].join(' ')
  return [...list.matchAll(new RegExp(`^ {2}${before} ([a-z-]+)`, 'gm'))].map(([, name]) => name!)
}

/** What `--help` prints after these words. Throws Error when there is no such command. */
export async function helpOf(words: readonly string[]): Promise<string> {
  const lines: string[] = []
  const out = (line: string) => void lines.push(line)
  const demo = async () => (await import('../demo/command.ts')).demoCommand
  const code = await runCli([...words, '--help'], { demo }, { ...processTerminal(), out, err: out })
  if (code !== 0) throw new Error(lines.join('\n'))
  return lines.join('\n').replaceAll(/ +$/gm, '').trimEnd()
}

interface Operation {
  tags: readonly [string]
  summary: string
  description?: string
  'x-role': string
  'x-same-as'?: string
  parameters?: readonly { name: string; in: string; required: boolean }[]
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Readonly<Record<string, Response>>
}

interface Response {
  content?: Readonly<Record<string, { schema: Json }>>
}

interface Document {
  tags: readonly { name: string; description: string }[]
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  components: { schemas: Readonly<Record<string, Json>> }
}

/** A table of routes for each tag of the OpenAPI document; a second path of a route is left to the text. */
async function routeTables(): Promise<string> {
  const { tags, paths } = await openApiDocument()
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, route: `${method.toUpperCase()} ${path}` })),
  )
  return tags
    .map(({ name, description }) => {
      const rows = operations
        .filter((operation) => operation.tags[0] === name && !operation['x-same-as'])
        .map((operation) => [
          code(operation.route),
          operation['x-role'],
          operation.summary,
          inputOf(operation),
          replyOf(operation),
          errorsOf(operation),
        ])
      const head = ['route', 'role', 'description', 'query or body', 'reply', 'errors']
      return [`### ${name}`, description, ...(rows.length > 0 ? [table(head, rows)] : [])].join('\n\n')
    })
    .join('\n\n')
}

/** Names of the fields that a client may send; `?` after those that may be left out. */
function inputOf({ parameters = [], requestBody }: Operation): string {
  const query = parameters.filter((one) => one.in === 'query').map(({ name, required }) => ({ name, required }))
  const schema = requestBody?.content['application/json']?.schema ?? {}
  const shapes = (schema.anyOf ?? schema.oneOf ?? [schema]) as readonly { properties?: Json; required?: string[] }[]
  const body = shapes.map(({ properties = {}, required = [] }) =>
    Object.keys(properties).map((name) => ({ name, required: required.includes(name) })),
  )
  const list = (fields: readonly { name: string; required: boolean }[]) =>
    fields.map(({ name, required }) => code(required ? name : `${name}?`)).join(' ')
  return [query, ...body]
    .filter((fields) => fields.length > 0)
    .map(list)
    .join(' or ')
}

/** The status of a reply, and its fields, the name of its schema, or its content type. */
function replyOf({ responses }: Operation): string {
  const [status, { content = {} }] = Object.entries(responses)[0]!
  return [
    status,
    ...Object.entries(content).map(([type, { schema }]) =>
      type === 'application/json' ? replyType(schema) : code(type),
    ),
  ].join(' ')
}

const schemaLink = (ref: string): string => code(ref.slice(ref.lastIndexOf('/') + 1))

/** Codes of errors that the route names, without those that every route with a token or a body can answer. */
function errorsOf({ responses }: Operation): string {
  const codes = Object.values(responses).flatMap(({ content }) => {
    const { allOf } = (content?.['application/json']?.schema ?? {}) as { allOf?: readonly [Json, CodeSchema] }
    return allOf?.[1].properties.error.properties.code.enum ?? []
  })
  return codes
    .filter((each) => !COMMON_ERRORS.includes(each))
    .map(code)
    .join(' ')
}

interface CodeSchema {
  properties: { error: { properties: { code: { enum: readonly string[] } } } }
}

const COMMON_ERRORS: readonly string[] = [
  ...GENERAL_ERRORS,
  ...['unauthorized', 'foreign_process', 'forbidden', 'body_too_large'],
]

/** The fields of every schema that replies refer to by name. */
async function schemaTables(): Promise<string> {
  const { components } = await openApiDocument()
  return Object.entries(components.schemas)
    .filter(([name]) => name !== 'Error')
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, { properties }]) => {
      const rows = Object.entries(properties as Readonly<Record<string, Json>>).map(([field, schema]) => [
        code(field),
        replyType(schema),
        String(schema.description ?? ''),
      ])
      return `### ${name}\n\n${table(['field', 'type', 'description'], rows)}`
    })
    .join('\n\n')
}

function replyType(schema: Json): string {
  const {
    $ref,
    anyOf,
    items,
    properties,
    additionalProperties,
    const: value,
  } = schema as {
    $ref?: string
    anyOf?: readonly Json[]
    items?: Json
    properties?: Json
    additionalProperties?: Json
    const?: unknown
  }
  if ($ref) return schemaLink($ref)
  if (value !== undefined) return code(JSON.stringify(value))
  if (anyOf) return anyOf.map(replyType).join(' or ')
  if (items) return `list of ${replyType(items)}`
  if (properties) return code(`{ ${Object.keys(properties).join(', ')} }`)
  if (additionalProperties) return `map of ${replyType(additionalProperties)}`
  if (schema.format === 'date-time') return 'time'
  // Every integer has the bounds that JSON can carry.
  if (schema.type === 'integer') return 'integer'
  return typeOf(schema)
}

async function openApiDocument(): Promise<Document> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-docs-'))
  const db = join(folder, 'docs.db')
  const config = { server: { port: 0 }, db: { path: db }, log: { dir: join(folder, 'logs') } }
  try {
    await using runtime = await openRuntime({ config, cwd: folder })
    const { token } = (await readServerFile(db))!
    const response = await fetch(`${runtime.url}/api/openapi.json`, { headers: { authorization: `Bearer ${token}` } })
    return (await response.json()) as Document
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  for (const [file, text] of await generateDocs()) writeFileSync(join(docs, file), text)
}
