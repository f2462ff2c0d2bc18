/** Starts that the system refuses: they are answered as errors, and end no other agent. */
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newFolder, openAgents, program } from '../support/agents.ts'

const WITHOUT_DESCRIPTORS = join(import.meta.dirname, '..', 'support', 'without-descriptors.ts')

describe('an agent that the system cannot start', () => {
  it('an agent that the system cannot start for want of descriptors is refused or tried again, and no other agent ends', async () => {
    const folder = newFolder()
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const server = `ulimit -n 64; exec "$@"`
    const programs = [program('crash_after.py'), program('forever.py')]
    const args = [process.execPath, WITHOUT_DESCRIPTORS, join(folder, 'state.db'), ...programs]
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', server, 'sh', ...args])
    const { refused, states } = JSON.parse(stdout)
    expect(refused).toEqual({
      code: 'start_failed',
      message: 'the agent cannot be started: too many open files (EMFILE)',
    })
    expect(states).toEqual(['running', 'running'])
  })

  it.each([
    [
      'a variable of 200 KB',
      { env: { LARGE: 'x'.repeat(200_000) } },
      'its arguments and environment are too large (E2BIG)',
    ],
    ['NUL in an argument', { args: ['secret\0'] }, 'holds a NUL character (ERR_INVALID_ARG_VALUE)'],
    ['NUL in a variable', { env: { A: 'secret\0' } }, 'holds a NUL character (ERR_INVALID_ARG_VALUE)'],
  ])(
    'an agent that cannot start for %s is refused with the reason, and without the value',
    async (_what, spec, why) => {
      const agents = openAgents()
      const refused = agents.start('forever.py', spec)
      await expect(refused).rejects.toMatchObject({ code: 'bad_request', message: expect.stringContaining(why) })
      await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('secret') })
      expect(agents.supervisor.list()).toEqual([])
      expect(agents.count('agent.started')).toBe(0)
    },
  )
})
