/** The clients there are, and how a test drives each: a separate process with the real package, one case at a time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { launching } from '../../src/sandbox/cage.ts'
import { python as launcher } from '../support/agent-parts.ts'
import { freePort } from '../support/free-port.ts'
import type { DialectName } from './provider.ts'

export interface ClientSpec {
  /** As the table shows it. */
  name: string
  dialect: DialectName
  program: Program
  /** The program's prefix of a model's name, when it calls several providers; '' when not. */
  provider: string
  /** Its abilities beside answering, streaming and calling tools. */
  extras: Extra[]
  /** The client's error class for each status, and for a stream that broke off. */
  errors: { 402: string; 403: string; 422: string; 400: string; stream: string }
  /** It shows a code in its message only. */
  codeIn?: 'message'
}

export type Extra =
  | 'streamed_usage'
  | 'vision'
  | 'structured'
  | 'thinking'
  | 'embeddings'
  | 'models'
  | 'responses'
  | 'streamed_responses'
  | 'responses_tools'
  | 'stored_responses'
  | 'kickoff'

/** One process, also for several rows of the table: imports take seconds. */
export interface Program {
  /** Of `clients/`. */
  file: string
  /** A Python environment below the root; undefined for Node. */
  environment?: string
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

const GOOGLE_ERRORS = {
  402: 'google.ClientError',
  403: 'google.ClientError',
  422: 'google.ClientError',
  400: 'google.ClientError',
  stream: 'google.APIError',
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
/** LiteLLM has classes of its own, which are OpenAI's too, and its own idea of which status is which. */
const LITELLM_OPENAI_ERRORS = {
  402: 'openai.BadRequestError',
  403: 'openai.BadRequestError',
  422: 'openai.BadRequestError',
  400: 'openai.BadRequestError',
  stream: 'openai.APIError',
}
const LITELLM_ANTHROPIC_ERRORS = {
  ...LITELLM_OPENAI_ERRORS,
  402: 'litellm.PaymentRequiredError',
  403: 'openai.PermissionDeniedError',
}

const python = (file: string, environment = ''): Program => ({ file, environment: `.venv-test${environment}` })
const LANGCHAIN = python('langchain_client.py')
const LITELLM = python('litellm_client.py', '-litellm')
const CREWAI = python('crewai_client.py', '-crewai')
const AI: Program = { file: 'ai-client.ts' }

const RESPONSES: Extra[] = ['responses', 'streamed_responses', 'responses_tools']
const CHAT: Extra[] = ['streamed_usage', 'vision']
const FULL: Extra[] = [...CHAT, 'structured', 'embeddings']
const SDK: Extra[] = [...FULL, ...RESPONSES, 'models', 'stored_responses']
const ANTHROPIC_SDK: Extra[] = [...CHAT, 'thinking', 'models']

const OPENAI: Pick<ClientSpec, 'dialect' | 'provider' | 'errors' | 'extras'> = {
  dialect: 'openai',
  provider: 'openai',
  errors: OPENAI_ERRORS,
  extras: [...FULL, ...RESPONSES],
}
const ANTHROPIC: typeof OPENAI = { dialect: 'anthropic', provider: 'anthropic', errors: ANTHROPIC_ERRORS, extras: CHAT }

export const CLIENTS: ClientSpec[] = [
  {
    ...OPENAI,
    name: 'openai, oldest',
    program: python('openai_client.py', '-oldest'),
    provider: '',
    extras: [...FULL, 'models'],
  },
  { ...OPENAI, name: 'openai', program: python('openai_client.py'), provider: '', extras: SDK },
  { ...ANTHROPIC, name: 'anthropic', program: python('anthropic_client.py'), provider: '', extras: ANTHROPIC_SDK },
  {
    name: 'google-genai',
    dialect: 'google',
    program: python('google_client.py', '-providers'),
    provider: '',
    errors: GOOGLE_ERRORS,
    extras: [...FULL, 'thinking', 'models'],
  },
  { ...OPENAI, name: 'LangChain, OpenAI', program: LANGCHAIN },
  { ...ANTHROPIC, name: 'LangChain, Anthropic', program: LANGCHAIN, extras: [...CHAT, 'structured'] },
  {
    ...OPENAI,
    name: 'LiteLLM, OpenAI',
    program: LITELLM,
    errors: LITELLM_OPENAI_ERRORS,
    extras: [...FULL, 'responses', 'streamed_responses'],
  },
  { ...ANTHROPIC, name: 'LiteLLM, Anthropic', program: LITELLM, errors: LITELLM_ANTHROPIC_ERRORS, codeIn: 'message' },
  { ...OPENAI, name: 'CrewAI, OpenAI', program: CREWAI, extras: ['kickoff'] },
  { ...ANTHROPIC, name: 'CrewAI, Anthropic', program: CREWAI, extras: ['kickoff'] },
  {
    ...OPENAI,
    name: 'openai (Node)',
    program: { file: 'openai-client.ts' },
    provider: '',
    errors: NODE_ERRORS,
    extras: SDK,
  },
  {
    ...ANTHROPIC,
    name: '@anthropic-ai/sdk',
    program: { file: 'anthropic-client.ts' },
    provider: '',
    errors: NODE_ERRORS,
    extras: ANTHROPIC_SDK,
  },
  { ...OPENAI, name: 'AI SDK, OpenAI responses', program: AI, errors: AI_ERRORS, extras: FULL },
  {
    ...OPENAI,
    name: 'AI SDK, OpenAI chat',
    program: AI,
    provider: 'openai-chat',
    errors: AI_ERRORS,
    extras: [...CHAT, 'structured'],
  },
  { ...ANTHROPIC, name: 'AI SDK, Anthropic', program: AI, errors: AI_ERRORS, extras: CHAT },
]

/** The result of a case. */
export interface Outcome {
  result?: Record<string, unknown>
  error?: { classes: string[]; status: number | null; code: string | null; type: string | null; message: string }
}

/**
 * Whom clients trust. Python's read the certificates of all authorities for each client that is made, which takes longer
 * than a case, and nothing here is encrypted.
 */
export const TRUST = { SSL_CERT_FILE: resolve(root, 'test/support/tls/cert.pem') }

/** A case that takes longer has locked itself up, in ms: a slow machine is no reason to end it. */
const HANGS_MS = 60_000

/** A running program. */
/** With TEST_SANDBOX every client runs behind walls of that level, and reaches this port of this machine. */
export const cagedPort = process.env.TEST_SANDBOX ? await freePort() : undefined

/** The configuration of a server that such clients reach. */
export const atPort = cagedPort === undefined ? {} : { server: { port: cagedPort } }

function cageWords(): string[] {
  const level = process.env.TEST_SANDBOX
  if (!level) return []
  const limited = level === 'strict' ? ['--connect', `127.0.0.1:${cagedPort}`] : []
  return [launcher, ...launching(), '--level', level, '--read', root, ...limited, '--']
}

export class RunningProgram {
  /** Of its packages. */
  readonly versions: Readonly<Record<string, string>>
  readonly #process: ChildProcess
  readonly #lines: Interface
  readonly #exited: Promise<unknown[]>

  private constructor(process: ChildProcess, lines: Interface, exited: Promise<unknown[]>, hello: string) {
    this.#process = process
    this.#lines = lines
    this.#exited = exited
    this.versions = (JSON.parse(hello) as { versions: Record<string, string> }).versions
  }

  /** Starts it in an environment that leads nowhere; each case brings its own. */
  static async start({ file, environment }: Program, variables: Record<string, string>): Promise<RunningProgram> {
    const interpreter = environment ? resolve(root, environment, 'bin/python') : process.execPath
    const command = [interpreter, resolve(import.meta.dirname, 'clients', file)]
    const [program, ...words] = [...cageWords(), ...command]
    const child = spawn(program!, words, { env: { ...TRUST, ...variables } })
    let stderr = ''
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk).slice(-4_000)
    })
    const exited = once(child, 'exit')
    const lines = createInterface(child.stdout)
    const [hello] = await Promise.race([once(lines, 'line'), exited])
    if (typeof hello !== 'string') throw new Error(`${file} did not start: ${stderr}`)
    return new RunningProgram(child, lines, exited, hello)
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  async run(wanted: { case: string; model: string; environment: Record<string, string> }): Promise<Outcome> {
    const answer = Promise.race([once(this.#lines, 'line'), this.#exited])
    // In a sandbox it has its own home folder.
    const { HOME, ...elsewhere } = wanted.environment
    const environment = { ...TRUST, ...(cagedPort === undefined ? wanted.environment : elsewhere) }
    this.#process.stdin!.write(`${JSON.stringify({ ...wanted, environment })}\n`)
    // A client that hangs must not answer the next question with this one's answer.
    const overdue = setTimeout(() => this.#process.kill('SIGKILL'), HANGS_MS)
    const [line] = await answer.finally(() => clearTimeout(overdue))
    if (typeof line !== 'string') throw new Error(`the client ended, or hung, in the case "${wanted.case}"`)
    return JSON.parse(line) as Outcome
  }

  async stop(): Promise<void> {
    // Some keep threads that outlive their work.
    this.#process.kill('SIGKILL')
    await this.#exited
  }
}
