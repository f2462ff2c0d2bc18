/**
 * A server in a separate process, to be killed: opens the runtime on the database and the provider of its arguments,
 * gives it one agent, and prints its address on its first line.
 *
 *   node test/support/serve.ts <folder> <provider url> <limit>
 */

import { join } from 'node:path'
import { configSchema } from '../../src/config/schema.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { openParts } from './built.ts'
import { agentStarted } from './events.ts'
import { dollars } from './money.ts'

const [folder = '', providerUrl = '', limit = '1'] = process.argv.slice(2)
const runtime = await openParts({
  config: configSchema.parse({
    providers: { openai: { base_url: `${providerUrl}/v1`, retries: 0 } },
    prices: { penny: { input_per_mtok: 0, output_per_mtok: 1_000 } },
    server: { port: 0 },
    log: { dir: join(folder, 'logs'), level: 'error' },
    db: { path: join(folder, 'state.db') },
  }),
  configFile: null,
  environment: {},
  version: '0.0.0-test',
})
runtime.trust.trust('openai', `${providerUrl}/v1`, 'the test')
const agentId = toAgentId('w-0badcafe')
runtime.ledger.accounts.openAccount(agentId, dollars(limit))
runtime.state.record({
  type: 'agent.started',
  level: 'OK',
  agent_id: agentId,
  message: 'started',
  data: {
    ...agentStarted,
    script: '/agents/worker.py',
    pid: process.pid,
    limit_usd: usd(limit),
    detect: ['email'],
  },
})
const token = runtime.runTokens.issue({ agentId, runId: toRunId('run-1'), name: 'worker', script: '/agents/worker.py' })
process.stdout.write(`${runtime.url.replace('localhost', '127.0.0.1')}/gateway/${token}/openai/v1/chat/completions\n`)
