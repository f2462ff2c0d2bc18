/** The clients there are, and how a test drives each: a process of its own with the real package, one case at a time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { DialectName } from '../support/provider.ts'

export interface ClientSpec {
  /** As the table shows it. */
  name: string
  dialect: DialectName
  /** Of `clients/`. */
  program: string
  /** The interpreter: a Python environment below the root; Node when there is none. */
  environment?: string
  arguments?: string[]
  /** Which of the client's error classes tells of each status, and of a stream that broke off. */
  errors: { 402: string; 403: string; 422: string; 400: string; stream: string }
  /** What this client's errors do not tell: `code` is only in the message then. */
  codeIn?: 'message'
}

const root = resolve(import.meta.dirname, '../..')

const OPENAI_ERRORS = {
  402: 'openai.APIStatusError',
  403: 'openai.PermissionDeniedError',
  422: 'openai.UnprocessableEntityError',
  400: 'openai.BadRequestError',
  stream: 'openai.APIError',
}
const ANTHROPIC_ERRORS = {
  402: 'anthropic.APIStatusError',
  403: 'anthropic.PermissionDeniedError',
  422: 'anthropic.UnprocessableEntityError',
  400: 'anthropic.BadRequestError',
  stream: 'anthropic.APIError',
}

/** npm's clients have the same names without the package's. */
const NODE_ERRORS = {
  402: 'APIError',
  403: 'PermissionDeniedError',
  422: 'UnprocessableEntityError',
  400: 'BadRequestError',
  stream: 'APIError',
}
const AI_ERRORS = {
  402: 'APICallError',
  403: 'APICallError',
  422: 'APICallError',
  400: 'APICallError',
  stream: 'Error',
}

const NEWEST = { environment: '.venv-test' }
const OLDEST = { environment: '.venv-test-oldest' }
const FRAMEWORKS = { environment: '.venv-test-frameworks' }

export const CLIENTS: ClientSpec[] = [
  { name: 'openai, oldest', dialect: 'openai', program: 'openai_client.py', ...OLDEST, errors: OPENAI_ERRORS },
  { name: 'openai', dialect: 'openai', program: 'openai_client.py', ...NEWEST, errors: OPENAI_ERRORS },
  { name: 'anthropic', dialect: 'anthropic', program: 'anthropic_client.py', ...NEWEST, errors: ANTHROPIC_ERRORS },
  ...both('LangChain', { program: 'langchain_client.py', ...NEWEST }),
  ...both('LiteLLM', { program: 'litellm_client.py', ...FRAMEWORKS }),
  ...both('CrewAI', { program: 'crewai_client.py', ...FRAMEWORKS }),
  { name: 'openai (Node)', dialect: 'openai', program: 'openai-client.ts', errors: NODE_ERRORS },
  { name: 'anthropic (Node)', dialect: 'anthropic', program: 'anthropic-client.ts', errors: NODE_ERRORS },
  ...(['openai', 'openai-chat', 'anthropic'] as const).map(
    (provider): ClientSpec => ({
      name: `AI SDK, ${provider}`,
      dialect: provider === 'anthropic' ? 'anthropic' : 'openai',
      program: 'ai-client.ts',
      arguments: [provider],
      errors: AI_ERRORS,
    }),
  ),
]

/** A framework that speaks both dialects, and raises the errors of the SDK below. */
function both(name: string, rest: Pick<ClientSpec, 'program' | 'environment'>): ClientSpec[] {
  return (['openai', 'anthropic'] as const).map((dialect) => ({
    ...rest,
    name: `${name}, ${dialect}`,
    dialect,
    arguments: [dialect],
    errors: dialect === 'openai' ? OPENAI_ERRORS : ANTHROPIC_ERRORS,
  }))
}

/** What came of a case. */
export interface Outcome {
  result?: Record<string, unknown>
  error?: { classes: string[]; status: number | null; code: string | null; type: string | null; message: string }
}

/** A running client. */
export class RunningClient {
  readonly cases: ReadonlySet<string>
  readonly versions: Readonly<Record<string, string>>
  readonly #process: ChildProcess
  readonly #lines: Interface

  private constructor(
    process: ChildProcess,
    lines: Interface,
    told: { cases: string[]; versions: Record<string, string> },
  ) {
    this.#process = process
    this.#lines = lines
    this.cases = new Set(told.cases)
    this.versions = told.versions
  }

  /** Starts it in an environment that leads nowhere; each case brings its own. */
  static async start(
    { program, environment, arguments: given = [] }: ClientSpec,
    variables: Record<string, string>,
  ): Promise<RunningClient> {
    const interpreter = environment ? resolve(root, environment, 'bin/python') : process.execPath
    const child = spawn(interpreter, [resolve(import.meta.dirname, 'clients', program), ...given], {
      env: variables,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stderr = ''
    child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk))
    const lines = createInterface(child.stdout!)
    const first = await Promise.race([once(lines, 'line'), once(child, 'exit')])
    if (typeof first[0] !== 'string') throw new Error(`${program} did not start: ${stderr}`)
    return new RunningClient(child, lines, JSON.parse(first[0]))
  }

  async run(name: string, model: string, environment: Record<string, string>): Promise<Outcome> {
    const line = Promise.race([once(this.#lines, 'line'), once(this.#process, 'exit')])
    this.#process.stdin!.write(`${JSON.stringify({ case: name, model, environment })}\n`)
    return JSON.parse(String((await line)[0])) as Outcome
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#process.stdin!.end()
    await exited
  }
}
