import type { Database } from '../../src/db/database.ts'

const MODELS = ['gpt-4o-mini', 'gpt-4o', 'claude-sonnet-4-5']

/** So many charged calls, ten milliseconds apart, of these agents in turn. Returns the time and id of each. */
export function* insertCalls(
  { orm }: Pick<Database, 'orm'>,
  { agentIds, count, startMs }: { agentIds: readonly string[]; count: number; startMs: number },
): Generator<{ number: number; at: string; id: string }> {
  const call = orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, price, usage, status, started_at, ended_at)
     VALUES (?, ?, 'llm', 'openai', ?, 'charged', 900000, ?, '{"input":1}', '{"input":100,"output":20}', 200, ?, ?)`,
  )
  for (let number = 0; number < count; number++) {
    const time = startMs + number * 10
    const at = new Date(time).toISOString()
    const id = `call-${time.toString(16)}-${number.toString(16).padStart(8, '0')}`
    const model = MODELS[number % MODELS.length]!
    call.run(agentIds[number % agentIds.length]!, id, model, 450_000 + (number % 1_000), at, at)
    yield { number, at, id }
  }
}
