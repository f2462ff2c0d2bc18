import { expect, test } from 'vitest'
import { findAgentId } from '../../../src/cli/client/agent-id.ts'
import type { AgentState } from '../../../src/core/events.ts'
import type { AgentView } from '../../../src/state/snapshot.ts'

const agent = (id: string, name: string, state: AgentState = 'completed', started_at = '2026-01-02T03:04:05.000Z') =>
  ({ id, name, state, script: `/agents/${name}.py`, started_at }) as AgentView

const AGENTS = [
  agent('le-7a3f9c2d', 'leads'),
  agent('le-7a11aaaa', 'leads'),
  agent('no-12345678', 'notebook', 'failed', '2026-01-02T03:04:06.000Z'),
  agent('no-22222222', 'notebook', 'completed'),
  agent('ma-11111111', 'mail', 'stopped'),
  agent('ma-22222222', 'mail', 'paused'),
  agent('tw-11111111', 'twins', 'running'),
  agent('tw-22222222', 'twins', 'running'),
  agent('ma-99999999', 'le-7a3f9c2d'),
]

test.each([
  ['an id', 'le-7a11aaaa', 'le-7a11aaaa'],
  ['an id, also where another has it as its name', 'le-7a3f9c2d', 'le-7a3f9c2d'],
  ['the beginning of an id', 'le-7a3', 'le-7a3f9c2d'],
  ['a name of several that have ended, of which one started last', 'notebook', 'no-12345678'],
  ['the file of a script', 'notebook.py', 'no-12345678'],
  ['a name of several, of which one runs', 'mail', 'ma-22222222'],
  ['what fits none', 'le-7a3f9c2d0', 'le-7a3f9c2d0'],
  ['nothing at all', '', ''],
])('%s is resolved', (_, named, id) => {
  expect(findAgentId(AGENTS, named)).toBe(id)
})

test.each([
  ['a name of several that started at the same moment', 'leads', ['le-7a3f9c2d', 'le-7a11aaaa']],
  ['a name of several that run', 'twins', ['tw-11111111', 'tw-22222222']],
  ['the beginning of several ids', 'le-7a', ['le-7a3f9c2d', 'le-7a11aaaa']],
])('%s is refused, and each one that fits is listed', (_, named, ids) => {
  expect(() => findAgentId(AGENTS, named)).toThrow(
    expect.objectContaining({ code: 'usage', hint: 'use the id of the one you mean' }),
  )
  try {
    findAgentId(AGENTS, named)
  } catch (error) {
    const [what, ...candidates] = (error as Error).message.split('\n')
    expect(what).toBe(`"${named}" matches ${ids.length} agents`)
    expect(candidates.map((line) => line.split(' ')[0])).toEqual(ids)
  }
})
