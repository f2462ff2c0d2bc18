/** Events as the other parts record them, for tests of the ledger alone. */

import type { PaidBy } from '../../src/budget/budget-events.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { type AgentId, toCallId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'

export const startedEvent = (agent_id: AgentId, amount: string, run_id = toRunId('run-1')): NewEvent => ({
  type: 'agent.started',
  level: 'OK',
  agent_id,
  message: 'started',
  data: {
    run_id,
    name: 'worker',
    script: '/agents/worker.py',
    environment: 'development',
    pid: 1,
    restart: 0,
    limit_usd: usd(amount),
    safety_mode: 'redact',
    detect: ['email'],
  },
})

export const completedEvent = (agent_id: AgentId, cost: string, paidBy: PaidBy = {}): NewEvent => ({
  type: 'call.completed',
  level: 'INFO',
  agent_id,
  message: 'completed',
  data: {
    call_id: toCallId('call-1'),
    provider: 'openai',
    model: 'gpt-4',
    stream: false,
    input_tokens: 1,
    cached_input_tokens: 0,
    output_tokens: 1,
    cost_usd: usd(cost),
    baseline_usd: null,
    estimated: false,
    latency_ms: 1,
    first_byte_ms: 1,
    status: 200,
    redactions: 0,
    ...paidBy,
  },
})
