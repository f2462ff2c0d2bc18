/** Iron Cage as a library, from its source: text arguments of a program are parsed where they come in. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openRuntime } from '../src/index.ts'
import { python } from './support/agent-parts.ts'

test('a limit may be written as people write it, and is refused with its value where it is no amount', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const script = join(folder, 'agent.py')
  writeFileSync(script, 'print("hello")\n')
  await using runtime = await openRuntime({
    cwd: folder,
    config: {
      agent: { python, cwd: folder, sandbox: { level: 'off' } },
      server: { port: 0 },
      db: { path: join(folder, 'state.db') },
      log: { dir: join(folder, 'logs'), level: 'error' },
    },
  })
  const refused = {
    code: 'invalid_amount',
    message: 'limitUsd: "5e3" is not an amount of US dollars',
    facts: { value: '5e3' },
  }
  await expect(runtime.startAgent(script, { limitUsd: '5e3' })).rejects.toMatchObject(refused)
  expect(Object.keys(runtime.snapshot().agents)).toEqual([])
  const { id, ended } = await runtime.startAgent(script, { limitUsd: '$5.00' })
  expect(await ended).toMatchObject({ state: 'completed', exitCode: 0 })
  expect(runtime.snapshot().agents[id]?.limit_usd).toBe('5')
})
