import type { EventData, NewEvent } from '../../src/core/events.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'

/** The warning of the demo's agent. */
export const budgetWarned: Extract<NewEvent, { type: 'budget.warned' }> = {
  type: 'budget.warned',
  level: 'WARN',
  agent_id: toAgentId('lg-7a3f9c2d'),
  message: 'Budget at 90.1%',
  data: {
    spent_usd: usd('45.07'),
    limit_usd: usd('50'),
    threshold: 0.9,
    used_percent: 90.14,
    suggested_increase_usd: usd('25'),
  },
}

/** The facts about an agent when it has started. */
export const agentStarted: EventData['agent.started'] = {
  run_id: toRunId('run-1'),
  name: 'worker',
  script: 'worker.py',
  environment: 'development',
  pid: 1,
  restart: 0,
  limit_usd: usd('10'),
  safety_mode: 'redact',
  detect: [],
}
