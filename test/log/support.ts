import type { RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId } from '../../src/core/ids.ts'

/** The event of a line that an agent printed. */
export const output = (text: string): RuntimeEvent => ({
  seq: 7,
  at: '2026-11-21T14:23:45.000Z',
  agent_id: toAgentId('lg-7a3f9c2d'),
  level: 'INFO',
  type: 'agent.output',
  message: text,
  data: { stream: 'stdout', text },
})
