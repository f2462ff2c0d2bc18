/**
 * node scripts/soak/hard-budget.ts [calls, 10,000 by default] [clients, 50]: needs a build. A provider that obeys no
 * limit, counts as it likes and answers with other models. Exits 1 when a model got more calls than were under way when it
 * overran, one that obeyed at first overran more often than it had obeyed, or the budget was overspent.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Agent, request } from 'undici'
import { configSchema } from '../../src/config/schema.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { fromUsd, usd } from '../../src/core/money.ts'
import { startedEvent } from '../../test/budget/support.ts'
import { openParts } from '../../test/support/built.ts'
import { FakeProvider } from '../../test/support/provider.ts'
import { callLiars, HONEST, LATE, LIARS, lyingProvider, MODELS, PRICE } from './liars.ts'

const [calls = 10_000, clients = 50] = process.argv.slice(2).map(Number)
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-liars-'))
const provider = await FakeProvider.open()
const answerOf = lyingProvider()
provider.does((response, received) => {
  const { type, body } = answerOf(received)
  response.writeHead(200, { 'content-type': type })
  response.end(body)
})
const prices = Object.fromEntries(MODELS.map((model) => [`vllm/${model}`, PRICE]))
const runtime = await openParts({
  config: configSchema.parse({
    providers: { vllm: { base_url: `${provider.url}/v1`, retries: 0 } },
    prices,
    budget: { on_exhausted: 'refuse' },
    server: { port: 0 },
    log: { dir: join(folder, 'logs'), level: 'error' },
    db: { path: join(folder, 'state.db') },
  }),
  configFile: null,
  environment: {},
  version: '0.0.0-soak',
})
const database = new Sqlite(join(folder, 'state.db'), { readonly: true })
const connections = new Agent({ connections: clients })
const agentId = toAgentId('s-0badcafe')
runtime.ledger.accounts.openAccount(agentId, fromUsd(usd('100')))
runtime.state.record(startedEvent(agentId, '100'))
const token = runtime.runTokens.issue({ agentId, runId: toRunId('run-1'), name: 'soak', script: '/agents/soak.py' })
const base = `${runtime.url.replace('localhost', '127.0.0.1')}/gateway/${token}/vllm`
const startedAt = performance.now()
const summary = await callLiars(
  {
    async call(path, body) {
      const { statusCode, body: reply } = await request(base + path, {
        method: 'POST',
        dispatcher: connections,
        headers: { 'content-type': 'application/json', authorization: 'Bearer sk-1' },
        body: JSON.stringify(body),
      })
      const text = await reply.text()
      return { status: statusCode, code: statusCode === 200 ? undefined : JSON.parse(text).error.code }
    },
    balance: () => runtime.ledger.accounts.balance(agentId),
    rows: () => database.prepare('SELECT model, cost_nanos, code FROM calls').all() as never,
    requests: () => provider.requests,
  },
  calls,
  clients,
)
console.log(summary)
console.log(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
const isHeld = LIARS.every((model) => summary.overruns[model]! >= 1 && summary.sent[model]! <= clients)
const isLateHeld = summary.overruns[LATE.model]! <= LATE.honestAnswers + 1
process.exitCode = isHeld && isLateHeld && !summary.overruns[HONEST] && summary.overspent <= 0 ? 0 : 1
database.close()
await runtime.close('the soak has ended')
await provider.close()
await connections.close()
rmSync(folder, { recursive: true, force: true })
