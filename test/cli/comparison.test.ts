/** Two agents side by side. */
import { expect, test } from 'vitest'
import type { AgentReport } from '../../src/api/reports/report.ts'
import { comparisonLines } from '../../src/cli/output/comparison-lines.ts'
import type { EventOf } from '../../src/core/events.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import { newAgent } from '../../src/state/slices/agent-life.ts'
import type { AgentView } from '../../src/state/snapshot.ts'

const AT = '2026-11-21T12:00:00.000Z'

function report(id: string, part: Partial<AgentView>): AgentReport {
  const data = { run_id: toRunId('run-1'), name: 'leads', script: '/leads.py', environment: 'development', pid: 1 }
  const limits = { limit_usd: usd('5'), safety_mode: 'redact' as const, detect: [], restart: 0 }
  const started = { ...data, ...limits } as EventOf<'agent.started'>['data']
  const agent = { ...newAgent(toAgentId(id), AT, started), ended_at: '2026-11-21T12:01:00.000Z', ...part }
  return { agent, figures: shownFigures(agent, Date.parse(AT)) } as AgentReport
}

test('differences between two agents are marked, also rows that only one of them has', () => {
  const model = { calls: 3, cost_usd: usd('0.25'), input_tokens: 1, output_tokens: 1 }
  const lines = comparisonLines(
    report('le-11111111', { state: 'budget_stopped', spent_usd: usd('4.9') }),
    report('le-22222222', { state: 'completed', spent_usd: usd('0.25'), by_model: { 'gpt-4o-mini': model } }),
  )
  const cells = (label: string) =>
    lines
      .find((line) => line.trim().startsWith(label))
      ?.split(/ {2,}/)
      .slice(-3)
  expect(lines[0]).toMatch(/^ +le-11111111 +le-22222222$/)
  expect(cells('Cost')).toEqual(['$4.90', '$0.25', '≠'])
  expect(cells('gpt-4o-mini')).toEqual(['-', '$0.25 (3)', '≠'])
  expect(lines.find((line) => line.startsWith('Limit'))).toMatch(/\$5\.00 +\$5\.00$/)
})
