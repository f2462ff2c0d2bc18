/** Asks a model as any client of the gateway does: with a separate token and budget, priced, redacted and recorded. */
import { resolve } from 'node:path'
import { readServerFile } from '../../access/server-file.ts'
import type { AgentStatus } from '../../api/agents.ts'
import type { LoadedConfig } from '../../config/config.ts'
import { CageError } from '../../core/errors.ts'
import { showUsd, type Usd } from '../../core/money.ts'
import type { Question } from '../../deploy/selector.ts'
import { dialectNameOf } from '../../dialects/known-providers.ts'
import type { RuntimeParts } from '../../runtime.ts'
import { connectToDatabase } from '../client/client.ts'
import type { NewToken } from '../commands/tokens/new-token.ts'
import type { Terminal } from '../output/terminal.ts'
import { VERSION } from '../output/version.ts'

/** Resolves with the text of the reply. Throws CageError `deployment_failed` with the reason that the gateway or the provider gave. */
export type Ask = (question: Question) => Promise<string>

export interface ModelChoice {
  /** Provider and model, such as "openai/gpt-4o-mini". */
  model: string
  /** Hard limit of all questions together. */
  budget: Usd
}

/** Longest reply, in tokens. */
const MAX_TOKENS = 8_000
/** Longest life of the token, in seconds, should this program be killed. */
const TOKEN_LIFE_S = 1_800
const TIMEOUT_MS = 600_000

/** How a question is asked in the dialects that the selector knows. */
const FORMATS = {
  openai: {
    path: '/v1/chat/completions',
    body: (model: string, { system, user }: Question): object => ({
      model,
      max_tokens: MAX_TOKENS,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
    }),
    textOf: (reply: unknown) =>
      (reply as { choices?: { message?: { content?: unknown } }[] }).choices?.[0]?.message?.content,
  },
  anthropic: {
    path: '/v1/messages',
    body: (model: string, { system, user }: Question): object => ({
      ...{ model, max_tokens: MAX_TOKENS, system },
      messages: [{ role: 'user', content: user }],
    }),
    textOf: (reply: unknown) => (reply as { content?: { text?: unknown }[] }).content?.find(({ text }) => text)?.text,
  },
}

/**
 * Uses the running server, or one that runs as long as `use`; then prints the spending. Throws CageError `usage` for a
 * model that cannot be asked.
 */
export async function withModel<Result>(
  { model: named, budget }: ModelChoice,
  loaded: LoadedConfig,
  terminal: Terminal,
  use: (ask: Ask) => Promise<Result>,
): Promise<Result> {
  const { config } = loaded
  const [, provider = '', model = ''] = /^([^/\s]+)\/(\S+)$/.exec(named) ?? []
  const dialect = dialectNameOf(provider, config.providers[provider]?.dialect)
  if (model === '' || (dialect !== 'openai' && dialect !== 'anthropic')) {
    throw new CageError(
      'usage',
      `--selector-model: expected a model of OpenAI's or Anthropic's dialect, got "${named}"`,
      {
        hint: 'write it as openai/gpt-4o-mini',
      },
    )
  }
  const database = resolve(terminal.cwd, config.db.path)
  const own = (await readServerFile(database)) ? undefined : await openServer(loaded, terminal)
  try {
    const client = connectToDatabase(database)
    const { id, token, agent_id } = await client.send<NewToken>('POST', '/api/tokens', {
      ...{ name: 'strategy-selector', role: 'agent', budget_usd: budget, expires_in_s: TOKEN_LIFE_S },
    })
    try {
      const { url } = (await readServerFile(database))!
      const { path, body, textOf } = FORMATS[dialect]
      const address = `${url}/gateway/${provider}${path}`
      return await use(async (question) => {
        const text = textOf(await post(address, token, body(model, question)))
        return typeof text === 'string' ? text : ''
      })
    } finally {
      const { budget: spent } = await client.send<AgentStatus>('GET', `/api/agents/${agent_id}`)
      await client.send('DELETE', `/api/tokens/${id}`)
      terminal.err(`${named} was asked for ${showUsd(spent.spent_usd)} of ${showUsd(budget)}, as ${agent_id}`)
    }
  } finally {
    await own?.close('the model has answered')
  }
}

/** On a free port: the one that is configured is for the agent's own server. */
async function openServer({ config, origins, file }: LoadedConfig, terminal: Terminal): Promise<RuntimeParts> {
  const { openParts } = await import('../../runtime.ts')
  return openParts({
    config: { ...config, server: { ...config.server, port: 0 } },
    ...{ origins, configFile: file, environment: terminal.env.variables, version: VERSION },
    ...terminal.env.readMasterKey(),
  })
}

async function post(address: string, token: string, body: object): Promise<unknown> {
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw new CageError('deployment_failed', 'the gateway did not answer', { cause })
  })
  const reply: unknown = await response.json().catch(() => undefined)
  if (response.ok) return reply ?? {}
  const { message } = (reply as { error?: { message?: unknown } } | undefined)?.error ?? {}
  const why = typeof message === 'string' ? message : `status ${response.status}`
  throw new CageError('deployment_failed', `the model could not be asked: ${why}`, {
    hint: 'correct that, or deploy without --selector agent: the facts choose then',
  })
}
