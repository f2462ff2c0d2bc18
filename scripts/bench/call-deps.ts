/** A server's parts with an agent that may call, for measurements within this process. */
import { newAgentId, newRunId } from '../../src/core/ids.ts'
import { fromUsd, usd } from '../../src/core/money.ts'
import { openDeps } from '../../test/support/deps.ts'

const LIMIT = usd('100000')

/** As the server's own: its young generation, and when functions are optimized. */
export const V8_FLAGS: readonly string[] = [
  '--min-semi-space-size=8',
  '--max-semi-space-size=8',
  '--no-parallel-scavenge',
  '--invocation-count-for-turbofan=1000',
]

/** `provider`: its origin. `hasRows`: ledger and events are written. `token`: the agent's key. */
export async function openCallDeps(provider: string, hasRows: boolean) {
  const { deps, close } = await openDeps({ providers: { openai: { base_url: `${provider}/v1` } } })
  const { money, access, state, store, safety } = deps
  const agentId = newAgentId('bench')
  money.ledger.accounts.openAccount(agentId, fromUsd(LIMIT))
  const facts = { name: 'bench', script: 'client', environment: 'production', pid: null, restart: 0, limit_usd: LIMIT }
  const policy = { safety_mode: 'redact', detect: safety.detect } as const
  const data = { run_id: newRunId(), ...facts, ...policy }
  state.record({ type: 'agent.started', level: 'OK', agent_id: agentId, message: 'started', data })
  const { token } = access.apiTokens.create({ name: 'bench', role: 'agent', agentId, createdBy: 'bench' })
  if (!hasRows) {
    store.groupCommit = (write, ended) =>
      void setImmediate(() => {
        write()
        ended()
      })
    Object.assign(store.events, { insert: () => undefined })
    Object.assign(store.calls, { insertHeld: () => undefined, end: () => true })
  }
  return { deps, agentId, token, close }
}

/** A chat request of so many kilobytes. */
export const chatRequest = (kilobytes: number): string =>
  JSON.stringify({
    model: 'gpt-4o-mini',
    max_tokens: 200,
    messages: [{ role: 'user', content: SENTENCE.repeat(Math.round((kilobytes * 1_000) / SENTENCE.length)) }],
  })

const SENTENCE = 'Summarise the report of the last quarter for the board. '
