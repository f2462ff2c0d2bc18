import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it, onTestFinished } from 'vitest'
import { ProcessTree } from '../../src/agents/process-tree.ts'
import { systemClock } from '../../src/core/clock.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { processStarted, readProcessTable } from '../../src/core/process-table.ts'

async function startSleep(uid?: number): Promise<{ pid: number; started: string }> {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore', cwd: '/', uid })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return { pid: child.pid!, started: (await processStarted(child.pid!))! }
}

it('the table knows this process, its parent, and since when', async () => {
  const row = (await readProcessTable()).find(({ pid }) => pid === process.pid)
  expect(row).toMatchObject({ pid: process.pid, ppid: process.ppid, started: await processStarted(process.pid) })
})

it('read from /proc and from ps it is the same table', async () => {
  const { pid } = await startSleep()
  const relations = async (source: 'proc' | 'ps') => {
    const row = (await readProcessTable(source)).find((one) => one.pid === pid)
    return { ppid: row?.ppid, pgid: row?.pgid, started: typeof row?.started }
  }
  expect(await relations('ps')).toEqual({ ppid: process.pid, pgid: pid, started: 'string' })
  expect(await relations('proc')).toEqual(await relations('ps'))
})

it('a process that does not exist has no start time', async () => {
  expect(await processStarted(4_194_305)).toBeUndefined()
})

it('a group whose first process started at another time is not ours and is left alone', async () => {
  const { pid, started } = await startSleep()
  const tree = new ProcessTree({ agentId: toAgentId('no-00000001'), group: pid, started: 'long ago' })
  expect(await tree.end(0, systemClock)).toEqual([])
  expect(await processStarted(pid)).toBe(started)
})

// Only root can start a process that another user may not kill.
it.runIf(process.getuid?.() === 0)('a process that cannot be killed is named as a survivor', async () => {
  const { pid, started } = await startSleep(1_000)
  const tree = new ProcessTree({ agentId: toAgentId('no-00000002'), group: pid, started })
  process.seteuid?.(65_534)
  try {
    expect(await tree.end(0, systemClock)).toEqual([pid])
  } finally {
    process.seteuid?.(0)
  }
})
