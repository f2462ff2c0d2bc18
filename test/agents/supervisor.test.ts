import { describe, expect, it } from 'vitest'
import { openAgents } from '../support/agents.ts'

describe('an agent that ends by itself', () => {
  it('exit code 0 is completed and is not started again', async () => {
    const agents = openAgents()
    const id = await agents.start('exit_with.py', { args: ['0'] })
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'completed', exitCode: 0, signal: null })
    expect(agents.count('agent.started')).toBe(1)
    expect(agents.state.read().agents[id]).toMatchObject({ state: 'completed', exit_code: 0, pid: null })
  })
})
