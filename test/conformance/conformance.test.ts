import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { agentEnvironment } from '../../src/agents/environment.ts'
import { type AgentId, toAgentId } from '../../src/core/ids.ts'
import { BUILT_IN } from '../../src/dialects/known-providers.ts'
import { sends } from '../support/provider.ts'
import { type CallRow, openTestRuntime, type RuntimeOptions, type TestRuntime } from '../support/runtime.ts'
import { atPort, CLIENTS, type ClientSpec, type Extra, type Outcome, RunningProgram } from './clients.ts'
import { breaksOff, plays } from './provider.ts'
import { Table } from './table.ts'
import { REDACTED_THINKING, SIGNATURE, signatureOf, type Turn, USED } from './turn.ts'

/**
 * Every client that people use against the gateway, as they use it: the real packages, configured by environment
 * variables alone where to call. Each case has its own runtime, agent and provider.
 */

const root = resolve(import.meta.dirname, '../..')
const CANARY = 'jane.canary@northwind-traders.com'
const CARD = '4111 1111 1111 1111'

/** The environment of a shell in which an agent is started. */
const SHELL = {
  PATH: process.env.PATH!,
  HOME: tmpdir(),
  OPENAI_API_KEY: 'sk-of-the-user',
  ANTHROPIC_API_KEY: 'sk-ant-of-the-user',
  GEMINI_API_KEY: 'AIza-of-the-user',
  // Nothing of a framework's own goes anywhere.
  CREWAI_DISABLE_TELEMETRY: 'true',
  CREWAI_TRACING_ENABLED: 'false',
  OTEL_SDK_DISABLED: 'true',
  LANGSMITH_TRACING: 'false',
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  ANONYMIZED_TELEMETRY: 'False',
}
const USERS_KEY = { openai: 'sk-of-the-user', anthropic: 'sk-ant-of-the-user', google: 'AIza-of-the-user' }
const SERVERS_KEY = {
  openai: 'sk-of-the-server',
  anthropic: 'sk-ant-of-the-server',
  google: 'AIza-of-the-server',
}
/** Names as each dialect has them, of no model. */
const UNHEARD_OF = { openai: 'gpt-0-unheard-of', anthropic: 'claude-0-unheard-of', google: 'gemini-0-unheard-of' }
const MODEL = { openai: 'gpt-4o-mini', anthropic: 'claude-sonnet-4-5', google: 'gemini-2.5-flash' }

/** Ten tokens in and five out cost 75,000 nanodollars; ten embedded ones 2,500. */
const PRICES = {
  'gpt-4o-mini': { input_per_mtok: 2.5, output_per_mtok: 10 },
  'claude-sonnet-4-5': { input_per_mtok: 2.5, output_per_mtok: 10 },
  'gemini-2.5-flash': { input_per_mtok: 2.5, output_per_mtok: 10 },
  'text-embedding-3-small': { input_per_mtok: 0.25, output_per_mtok: 0 },
  'gemini-embedding-001': { input_per_mtok: 0.25, output_per_mtok: 0 },
}
const costOf = ({ model }: CallRow): number => (/embedding/.test(model!) ? 2_500 : 75_000)

const environmentOf = (serverUrl: string, runToken: string): Record<string, string> =>
  agentEnvironment({
    parent: SHELL,
    added: {},
    secrets: {},
    agentId: toAgentId('worker-1'),
    runToken,
    runAddress: runToken,
    serverUrl,
    shimFolder: resolve(root, 'python/shim'),
    telemetry: false,
    providerKeys: 'inject',
    providers: BUILT_IN,
    providerKeyNames: [],
  })

const nowhere = environmentOf('http://127.0.0.1:9', 'run_none')
const running = new Map<string, Promise<RunningProgram>>()
/** Started when it is wanted first, and again when it hung and was ended. */
async function programOf({ program }: ClientSpec): Promise<RunningProgram> {
  const key = JSON.stringify(program)
  const known = running.get(key)
  if (!known || (await known).hasEnded) running.set(key, RunningProgram.start(program, nowhere))
  return running.get(key)!
}
/** Imports take seconds: the next client's while this one is tested, and never all at once, for other tests run beside. */
function startNext(spec: ClientSpec): void {
  const next = CLIENTS[CLIENTS.indexOf(spec) + 1]
  // Tests that need it fail with the reason why it did not start.
  if (next) programOf(next).catch(() => undefined)
}
const table = new Table()
afterAll(async () => {
  await Promise.all(Array.from(running.values(), async (program) => (await program).stop()))
  mkdirSync(resolve(root, 'test-output'), { recursive: true })
  writeFileSync(resolve(root, 'test-output/conformance.md'), `${table}`)
  console.log(`${table}`)
})

/** Without free routes: CrewAI counts tokens before each call. */
const isCall = (url: string): boolean => url.startsWith('/gateway/') && !/count_?tokens|cancel$/i.test(url)

/** One client before its own runtime, supervised as far as it can see. */
class Stage {
  readonly cage: TestRuntime
  readonly agentId: AgentId
  /** Calls that came to the gateway, answered or not. */
  attempts = 0
  readonly #spec: ClientSpec
  readonly #program: RunningProgram
  readonly #environment: Record<string, string>

  private constructor(
    cage: TestRuntime,
    agentId: AgentId,
    spec: ClientSpec,
    program: RunningProgram,
    environment: Record<string, string>,
  ) {
    this.cage = cage
    this.agentId = agentId
    this.#spec = spec
    this.#program = program
    this.#environment = environment
    const port = new URL(cage.url).port
    const count = (message: unknown) => {
      const { request } = message as { request: IncomingMessage }
      if (String(request.socket.localPort) === port && isCall(request.url!)) this.attempts += 1
    }
    subscribe('http.server.request.start', count)
    onTestFinished(() => void unsubscribe('http.server.request.start', count))
  }

  static async open(spec: ClientSpec, options: RuntimeOptions = {}): Promise<Stage> {
    const cage = await openTestRuntime({ prices: PRICES, ...atPort, ...options })
    const agent = cage.addAgent()
    return new Stage(cage, agent.id, spec, await programOf(spec), environmentOf(cage.url, agent.token))
  }

  /** Without a supervisor: an API token as the key, at an address that anybody may know. */
  static async openUnsupervised(spec: ClientSpec): Promise<Stage> {
    const cage = await openTestRuntime({ prices: PRICES, ...atPort })
    const { access_token } = await cage.login()
    const made = (await cage.post('/api/tokens', { name: 'notebook', budget_usd: '1' }, access_token)).json()
    const openai = `${cage.url}/gateway/openai/v1`
    const anthropic = `${cage.url}/gateway/anthropic`
    return new Stage(cage, toAgentId(String(made.agent_id)), spec, await programOf(spec), {
      OPENAI_BASE_URL: openai,
      OPENAI_API_BASE: openai,
      OPENAI_API_KEY: String(made.token),
      ANTHROPIC_BASE_URL: anthropic,
      ANTHROPIC_API_URL: anthropic,
      ANTHROPIC_API_BASE: anthropic,
      ANTHROPIC_API_KEY: String(made.token),
      GOOGLE_GEMINI_BASE_URL: `${cage.url}/gateway/google`,
      GEMINI_API_KEY: String(made.token),
    })
  }

  run(name: string, model = MODEL[this.#spec.dialect]): Promise<Outcome> {
    const { provider } = this.#spec
    return this.#program.run({
      case: name,
      model: provider ? `${provider}/${model}` : model,
      environment: this.#environment,
    })
  }

  /** The client's result, after so many calls, each of which was sent once, charged to the digit, and recorded. */
  async answers(name: string, ...turns: Turn[]): Promise<Record<string, unknown>> {
    this.cage.provider.does(plays(...turns))
    const { result, error } = await this.run(name)
    expect(error).toBeUndefined()
    expect(JSON.stringify(result)).not.toContain(CANARY)
    const rows = this.cage.rows()
    expect(rows).toHaveLength(this.paid)
    for (const row of rows)
      expect(row).toMatchObject({ state: 'charged', cost_nanos: costOf(row), estimated: 0, status: 200 })
    return result!
  }

  /** Requests that reached the provider and cost money. */
  get paid(): number {
    return this.cage.provider.requests.filter(({ method, url }) => method === 'POST' && isCall(`/gateway${url}`)).length
  }

  /** Spends something, and lowers the limit to the spending. */
  async spendAll(): Promise<void> {
    await this.answers('plain', { text: ['Hello.'] })
    const { ledger } = this.cage.runtime
    ledger.accounts.setLimit(this.agentId, ledger.accounts.balance(this.agentId).spent, 'a test')
    this.attempts = 0
    this.cage.provider.requests.length = 0
  }

  /** The provider's requests, as JSON. */
  get asked(): Record<string, unknown>[] {
    return this.cage.provider.requests.map(({ body }) => JSON.parse(body) as Record<string, unknown>)
  }
}

const HELLO: Turn = { text: ['Hello ', 'the', 're.'] }
/** An address in three pieces, none of which reveals it. */
const LEAK: Turn = { text: ['Ask jane.ca', 'nary@northwind', '-traders.com for help.'] }
const REDACTED = 'Ask [EMAIL_REDACTED] for help.'
/** A model's thoughts. */
const TOWNS = 'Two towns, two calls.'
const OSLO_AND_ROME: Turn = {
  calls: [
    { name: 'warmth', arguments: ['{"ci', 'ty": "Os', 'lo"}'] },
    { name: 'warmth', arguments: ['{"city"', ': "Rome"}'] },
  ],
}
const LEAKING_CALL: Turn = {
  calls: [{ name: 'warmth', arguments: ['{"city": "jane.ca', 'nary@northwind-tr', 'aders.com"}'] }],
}
const CALLS = [
  { name: 'warmth', arguments: { city: 'Oslo' } },
  { name: 'warmth', arguments: { city: 'Rome' } },
]
const WARM: Turn = { text: ['Oslo 4, ', 'Rome 4.'] }

describe.each(CLIENTS)('$name', (spec) => {
  table.row(spec.name)
  beforeAll(async () => {
    const { versions } = await programOf(spec)
    table.tell(
      spec.name,
      Object.entries(versions)
        .map(([name, number]) => `${name} ${number}`)
        .join(', '),
    )
    startNext(spec)
  })

  /** A test that stands in the table. */
  const conforms = (column: string, sentence: string, prove: () => Promise<void>) => {
    table.set(spec.name, column, ' ')
    // LiteLLM leaves its streams to the garbage collector, in which httpcore may lock itself up: a second try gets by.
    test(sentence, { retry: spec.name.startsWith('LiteLLM') ? 3 : 0 }, async () => {
      table.set(spec.name, column, '✗')
      await prove()
      table.set(spec.name, column, '✓')
    })
  }
  /** The same, for clients that can do this. */
  const conformsIf = (name: Extra, ...rest: Parameters<typeof conforms>) => {
    if (spec.extras.includes(name)) conforms(...rest)
    else table.set(spec.name, rest[0], '–')
  }
  const raises = ({ error }: Outcome, status: keyof ClientSpec['errors'], code: string) => {
    expect(error?.classes).toContain(spec.errors[status])
    if (typeof status === 'number' || status !== 'stream') expect(error).toMatchObject({ status: Number(status) })
    if (spec.codeIn === 'message') expect(error?.message).toContain(code)
    else expect(error?.code).toBe(code)
  }

  conforms('plain', 'is answered, with its own key, and the call is charged to the digit', async () => {
    const stage = await Stage.open(spec)
    const { text, usage } = await stage.answers('plain', HELLO)
    expect(text).toBe('Hello there.')
    if (usage) expect(usage).toEqual([USED.input, USED.output])
    const [{ headers, url } = expect.fail('nothing came')] = stage.cage.provider.requests
    // In whichever way the client sends it.
    expect([headers['x-api-key'], headers['x-goog-api-key'], headers.authorization]).toContainEqual(
      expect.stringContaining(USERS_KEY[spec.dialect]),
    )
    expect(JSON.stringify([headers, url])).not.toContain('run_')
    expect(stage.attempts).toBe(1)
  })

  conforms('streamed', 'is answered in a stream', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('streamed', HELLO)).toMatchObject({ text: 'Hello there.' })
    if (spec.dialect === 'google') expect(stage.cage.provider.requests[0]!.url).toContain(':streamGenerateContent')
    else expect(stage.asked).toMatchObject([{ stream: true }])
  })

  conforms('redacted', 'gets no address that a stream cuts in pieces', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('streamed', LEAK)).toMatchObject({ text: REDACTED })
  })

  conformsIf('streamed_usage', 'usage', 'gets the usage of a stream when it asks for it', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('streamed_usage', HELLO)).toEqual({ usage: [USED.input, USED.output] })
  })

  conforms('tools', 'calls two tools at once and sends what they say back', async () => {
    const stage = await Stage.open(spec)
    const { calls, text } = await stage.answers('tools', OSLO_AND_ROME, WARM)
    expect(calls).toEqual(CALLS)
    expect(text).toBe('Oslo 4, Rome 4.')
    expect(JSON.stringify(stage.asked.at(-1))).toMatch(/4 degrees in Oslo.*4 degrees in Rome/)
  })

  conforms('tools, streamed', 'calls two tools out of a stream', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('streamed_tools', OSLO_AND_ROME, WARM)).toMatchObject({ calls: CALLS })
  })

  conforms('arguments redacted', 'gets no address in the arguments of a tool', async () => {
    const stage = await Stage.open(spec)
    const { calls } = await stage.answers('streamed_tools', LEAKING_CALL, WARM)
    expect(calls).toEqual([{ name: 'warmth', arguments: { city: '[EMAIL_REDACTED]' } }])
  })

  conforms('402, one attempt', 'knows that a budget is spent, and asks once', async () => {
    const stage = await Stage.open(spec, { budget: { on_exhausted: 'refuse' } })
    await stage.spendAll()
    raises(await stage.run('plain'), 402, 'budget_exceeded')
    expect(stage.attempts).toBe(1)
    raises(await stage.run('streamed'), 402, 'budget_exceeded')
    expect(stage.attempts).toBe(2)
    expect(stage.paid).toBe(0)
  })

  conformsIf(
    'kickoff',
    '402, whole crew',
    'is refused each time a crew tries its task again, and spends nothing',
    async () => {
      const stage = await Stage.open(spec, { budget: { on_exhausted: 'refuse' } })
      await stage.spendAll()
      raises(await stage.run('kickoff'), 402, 'budget_exceeded')
      // A crew tries three times after any error. Only its end ends that: on_exhausted: stop.
      expect(stage.attempts).toBe(3)
      expect(stage.paid).toBe(0)
    },
  )

  conforms('403', 'knows that a model has no price', async () => {
    const stage = await Stage.open(spec)
    raises(await stage.run('plain', UNHEARD_OF[spec.dialect]), 403, 'price_unknown')
    expect(stage.attempts).toBe(1)
    expect(stage.paid).toBe(0)
  })

  conforms('422', 'knows that a reply is blocked, and does not ask for it again', async () => {
    const stage = await Stage.open(spec, { safety: { mode: 'block' } })
    stage.cage.provider.does(plays({ text: [`Pay with ${CARD}.`] }))
    const outcome = await stage.run('plain')
    raises(outcome, 422, 'pii_blocked')
    expect(JSON.stringify(outcome)).not.toContain(CARD)
    expect(stage.attempts).toBe(1)
  })

  conforms('422, streamed', 'knows that a stream is blocked', async () => {
    const stage = await Stage.open(spec, { safety: { mode: 'block' } })
    stage.cage.provider.does(plays({ text: ['Pay ', 'with 4111 1111', ' 1111 1111.'] }))
    const { error, result } = await stage.run('streamed')
    expect(result).toBeUndefined()
    expect(error?.classes).toContain(spec.errors.stream)
    // The oldest client keeps its own sentence, with our code beside it.
    expect(`${error?.code} ${error?.message}`).toMatch(/pii_blocked|personal data/)
    expect(JSON.stringify(error)).not.toContain(CARD)
  })

  conforms("provider's error", "gets the provider's own error as it is", async () => {
    const stage = await Stage.open(spec)
    const error = {
      type: 'invalid_request_error',
      message: 'This is no picture.',
      param: 'messages',
      code: 'invalid_image',
    }
    const body = {
      openai: { error },
      anthropic: { type: 'error', error, request_id: 'req_1' },
      google: { error: { code: 400, message: error.message, status: error.code } },
    }[spec.dialect]
    stage.cage.provider.does(sends(400, { 'content-type': 'application/json' }, body))
    raises(await stage.run('plain'), 400, 'invalid_image')
    expect(stage.attempts).toBe(1)
  })

  conforms('broken stream', 'knows that a stream broke off', async () => {
    const stage = await Stage.open(spec)
    stage.cage.provider.does(breaksOff(HELLO))
    const { error, result } = await stage.run('streamed')
    expect(result).toBeUndefined()
    expect(error?.classes).toContain(spec.errors.stream)
  })

  conforms('API token', 'is answered without a supervisor, by an API token', async () => {
    const stage = await Stage.openUnsupervised(spec)
    expect(await stage.answers('plain', HELLO)).toMatchObject({ text: 'Hello there.' })
    const [{ headers } = expect.fail('nothing came')] = stage.cage.provider.requests
    expect(JSON.stringify(headers)).toContain(SERVERS_KEY[spec.dialect])
    expect(JSON.stringify(headers)).not.toContain('ic_')
  })

  conformsIf('vision', 'vision', 'sends pictures', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('vision', HELLO)).toMatchObject({ text: 'Hello there.' })
    expect(JSON.stringify(stage.asked)).toContain('iVBORw0KGgo')
  })

  conformsIf('structured', 'structured', 'gets an answer in the form it asked for', async () => {
    const stage = await Stage.open(spec)
    const { city, degrees } = await stage.answers('structured', { text: ['{"city": "Oslo", ', '"degrees": 4}'] })
    expect({ city, degrees }).toEqual({ city: 'Oslo', degrees: 4 })
  })

  conformsIf('thinking', 'thinking, cache', 'gets what a model thought, signed, and can send it back', async () => {
    const stage = await Stage.open(spec)
    const thought =
      spec.dialect === 'google'
        ? [TOWNS, SIGNATURE, SIGNATURE]
        : [{ thinking: TOWNS, signature: signatureOf(TOWNS) }, { data: REDACTED_THINKING }]
    const turn = { thinking: ['Two towns, ', 'two calls.'], ...OSLO_AND_ROME }
    expect(await stage.answers('thinking', turn, turn, WARM)).toEqual({ whole: thought, streamed: thought })
    const last = JSON.stringify(stage.asked.at(-1))
    // Google's provider has compared the signature, which its client spells anew.
    const kept = [signatureOf(TOWNS), REDACTED_THINKING, '"cache_control":{"type":"ephemeral","ttl":"1h"}']
    for (const text of spec.dialect === 'google' ? [] : kept) expect(last).toContain(text)
  })

  if (spec.dialect === 'anthropic') {
    conformsIf(
      'thinking',
      'thinking',
      'sends redacted thinking back, and the provider gets its own words',
      async () => {
        const stage = await Stage.open(spec)
        const turn = { thinking: ['Ask jane.ro', 'e@northwind-traders.com', ' or Bob.'], ...OSLO_AND_ROME }
        const seen = await stage.answers('thinking', turn, turn, WARM)
        const thought = { thinking: 'Ask [EMAIL_REDACTED] or Bob.', signature: expect.stringMatching(/^IronCageSeal/) }
        expect(seen).toEqual({
          whole: [thought, { data: REDACTED_THINKING }],
          streamed: [thought, { data: REDACTED_THINKING }],
        })
        const thinking = 'Ask jane.roe@northwind-traders.com or Bob.'
        const sent = JSON.stringify({ type: 'thinking', thinking, signature: signatureOf(thinking) })
        expect(JSON.stringify(stage.asked.at(-1))).toContain(sent)
      },
    )
  }

  conformsIf('embeddings', 'embeddings', 'gets embeddings', async () => {
    const stage = await Stage.open(spec)
    const vector = [0.25, -0.5, 1]
    expect(await stage.answers('embeddings', {})).toEqual({ vectors: [vector, vector] })
  })

  conformsIf('models', 'models', 'gets the list of models, which costs nothing', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('models', {})).toMatchObject({
      models: [spec.dialect === 'google' ? MODEL.google : MODEL.openai],
    })
    expect(stage.cage.rows()).toEqual([])
  })

  conformsIf('responses', 'responses', 'is answered by the Responses API', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('responses', HELLO)).toMatchObject({ text: 'Hello there.' })
    expect(stage.cage.provider.requests[0]!.url).toBe('/v1/responses')
  })

  conformsIf(
    'streamed_responses',
    'responses, streamed',
    'gets every event of a streamed response, without an address',
    async () => {
      const stage = await Stage.open(spec)
      const { text, whole, numbers, types } = await stage.answers('streamed_responses', LEAK)
      expect(text).toBe(REDACTED)
      if (whole !== undefined) expect(whole).toBe(REDACTED)
      if (numbers) expect(numbers).toEqual([...new Set(numbers as number[])].sort((a, b) => a - b))
      if (types) expect((types as string[]).filter((type) => !type.endsWith('.delta'))).toEqual(RESPONSE_EVENTS)
    },
  )

  conformsIf('responses_tools', 'responses, tools', 'calls two tools out of a streamed response', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('responses_tools', OSLO_AND_ROME, WARM)).toEqual({
      calls: CALLS,
      text: 'Oslo 4, Rome 4.',
    })
  })

  conformsIf('stored_responses', 'responses, stored', 'finds, cancels and deletes a stored response', async () => {
    const stage = await Stage.open(spec)
    expect(await stage.answers('stored_responses', HELLO)).toMatchObject({ found: 'Hello there.', cancelled: 'resp_1' })
  })
})

const RESPONSE_EVENTS = [
  'response.created',
  'response.in_progress',
  'response.output_item.added',
  'response.content_part.added',
  'response.output_text.done',
  'response.content_part.done',
  'response.output_item.done',
  'response.completed',
]
