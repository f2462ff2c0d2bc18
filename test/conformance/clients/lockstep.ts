/** The same as lockstep.py, for Node. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export type Case = (model: string) => Promise<object>

export async function obey(cases: Record<string, Case>, ...packages: string[]): Promise<void> {
  say({
    versions: Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
  })
  for await (const line of createInterface(process.stdin)) {
    const wanted = JSON.parse(line) as {
      case: string
      model: string
      environment: Record<string, string>
    }
    Object.assign(process.env, wanted.environment)
    try {
      say({ result: await cases[wanted.case]!(wanted.model) })
    } catch (error) {
      say({ error: describe(error as ApiError) })
    }
  }
}

const say = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`)

/** The facts about an answer in the clients' errors, each under its own name. */
interface ApiError extends Error {
  status?: number
  statusCode?: number
  code?: string
  type?: string
  /** The answer's body: parsed, as @anthropic-ai/sdk keeps it; as text in the AI SDK. */
  error?: unknown
  responseBody?: string
}

function describe(error: ApiError): object {
  const body = (error.responseBody === undefined ? error.error : JSON.parse(error.responseBody)) as
    | { error?: { code?: string; type?: string } }
    | undefined
  return {
    classes: classesOf(error),
    status: error.status ?? error.statusCode ?? null,
    code: error.code ?? body?.error?.code ?? null,
    type: error.type ?? body?.error?.type ?? null,
    message: error.message,
  }
}

function classesOf(value: object | null): string[] {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null ? [] : [prototype.constructor.name, ...classesOf(prototype)]
}

const versionOf = (name: string): string => {
  const manifest = new URL(`../../../node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
}

/** The tools and the question of every case with tools. */
export const QUESTION = 'How warm is it in Oslo and in Rome?'
export const CITY = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'] }
/** One transparent pixel. */
export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

export const warmth = ({ city }: { city: string }): string => `${city.length} degrees in ${city}`
