/** A machine without a provider's key: its provider is the gateway of a trusted server that has joined the panel. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { toUsd } from '../../src/core/money.ts'
import { dollars } from '../support/money.ts'
import { answer, chatFrames, messageFrames, streams } from '../support/provider.ts'
import { openTestRuntime, type RuntimeOptions, send, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { joinMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'

type Panel = Awaited<ReturnType<typeof openTestPanel>>
type Dialect = 'openai' | 'anthropic'

const TRUSTED = 'https://gateway.example.com'
/** The section of the page, with its settings for the configuration of such a machine. */
const SECTION = /## Machines that you do not trust\n[\s\S]*?(?=\n## )/.exec(
  readFileSync(resolve(import.meta.dirname, '../../docs/production.md'), 'utf8'),
)![0]
const [DOCUMENTED, WITHOUT_PRICES] = [...SECTION.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) =>
  parse(text!),
) as [{ providers: Record<Dialect, { base_url: string }> }, { prices: object }]

/** An organization with $10, and a token named "laptop" with $5 of it. */
async function openPanel(): Promise<Panel> {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10') }, 'ada')
  await fleet.setLimit(organizationId, { scope: 'token', name: 'laptop' }, { limit: dollars('5') }, 'ada')
  return panel
}

async function openJoined({ fleet, organizationId, url }: Panel, options: RuntimeOptions = {}): Promise<TestRuntime> {
  const path = temporaryFile('state.db')
  await joinMachine(path, url, await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada'))
  return openTestRuntime({ ...options, folder: dirname(path) })
}

/** A server that has the keys, and a token of it. */
async function openTrusted(panel: Panel, budget: string) {
  const trusted = await openJoined(panel)
  const { access_token } = await trusted.login()
  const made = await trusted.post('/api/tokens', { name: 'laptop', budget_usd: budget }, access_token)
  return { trusted, token: (made.json() as { token: string }).token }
}

/** The settings of the page, also where a person has trusted the provider. */
const untrustedOptions = (trusted: TestRuntime, token: string, dialect: Dialect): RuntimeOptions => ({
  provider: { base_url: DOCUMENTED.providers[dialect].base_url.replace(TRUSTED, trusted.url) },
  environment: { OPENAI_API_KEY: token, ANTHROPIC_API_KEY: token, GEMINI_API_KEY: token },
})

/** An agent's client has the key of its server's environment. */
const callOf = (agent: TestAgent, dialect: Dialect, token: string, body: object = {}) =>
  dialect === 'openai'
    ? agent.chat({ ...body }, { authorization: `Bearer ${token}` })
    : agent.message({ ...body }, { authorization: '', 'x-api-key': token })

async function settled({ fleet, organizationId }: Panel): Promise<Record<string, string>> {
  const { budgets } = await fleet.read(organizationId)
  return Object.fromEntries(budgets.map(({ scope, settled_nanos }) => [scope, toUsd(settled_nanos)]))
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))

test.each<[Dialect, string]>([
  ['openai', chatFrames()],
  ['anthropic', messageFrames()],
])(
  'a machine that calls through a trusted server (%s) has no key, and each call is paid once, there',
  async (dialect, frames) => {
    const panel = await openPanel()
    const { trusted, token } = await openTrusted(panel, '0.025')
    const untrusted = await openTestRuntime(untrustedOptions(trusted, token, dialect))
    const agent = untrusted.addAgent()
    const whole = await callOf(agent, dialect, token, { max_tokens: 5 })
    expect(whole).toMatchObject({ status: 200, text: expect.stringContaining('Hello.') })
    trusted.provider.doesOnce(streams(frames))
    const stream = await callOf(agent, dialect, token, { max_tokens: 5, stream: true })
    expect(stream).toMatchObject({ status: 200, text: expect.stringContaining('Hello.') })
    // A client of that machine alone.
    const { base_url } = DOCUMENTED.providers[dialect]
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'x-api-key': token }
    const path = dialect === 'openai' ? '/chat/completions' : '/v1/messages'
    const body = { model: 'penny', max_tokens: 5, messages: [{ role: 'user', content: 'Say hello.' }] }
    for (const isStreamed of [false, true]) {
      trusted.provider.doesOnce(isStreamed ? streams(frames) : answer())
      const sent = { method: 'POST' as const, headers, body: JSON.stringify({ ...body, stream: isStreamed }) }
      expect(await send(base_url.replace(TRUSTED, trusted.url) + path, sent)).toMatchObject({
        ...{ status: 200, text: expect.stringContaining('Hello.') },
      })
    }
    await callOf(agent, dialect, token, { max_tokens: 5 })
    // The token's $0.025 there are spent; the agent has $10 here.
    const refused = await callOf(agent, dialect, token, { max_tokens: 5 })
    expect(refused).toMatchObject({ status: 402, text: expect.stringContaining('$0.00 of $0.025 left') })
    expect(agent.balance()).toMatchObject({ spent: '0.015', held: '0' })

    const keys = trusted.provider.requests.map(
      (request) => request.headers.authorization ?? request.headers['x-api-key'],
    )
    expect(new Set(keys)).toEqual(new Set([dialect === 'openai' ? 'Bearer sk-of-the-server' : 'sk-ant-of-the-server']))
    expect(JSON.stringify(trusted.provider.requests)).not.toContain(token)
    expect(untrusted.provider.requests).toEqual([])
    expect(filesOf(untrusted.folder).filter((text) => /sk-(ant-)?of-the-server/.test(text))).toEqual([])
    await Promise.all([untrusted.close(), trusted.close()])
    expect(await settled(panel)).toEqual({ organization: '0.025', token: '0.025' })
    expect(await panel.fleet.problems()).toEqual([])
  },
)

test('a machine that has joined as well pays for each call a second time, and not if its prices are nothing', async () => {
  const paid = async (options: RuntimeOptions) => {
    const panel = await openPanel()
    const { trusted, token } = await openTrusted(panel, '1')
    const untrusted = await openJoined(panel, { ...untrustedOptions(trusted, token, 'openai'), ...options })
    const called = await callOf(untrusted.addAgent(), 'openai', token, { model: 'gpt-4o' })
    expect(called).toMatchObject({ status: 200 })
    await Promise.all([untrusted.close(), trusted.close()])
    return settled(panel)
  }
  const price = '0.000075'
  expect(await paid({})).toEqual({ organization: '0.00015', token: price })
  expect(await paid(WITHOUT_PRICES as RuntimeOptions)).toEqual({ organization: price, token: price })
})
