import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, it, onTestFinished } from 'vitest'
import type { RuntimeEvent } from '../../src/core/events.ts'
import type { AgentId } from '../../src/core/ids.ts'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { processStarted } from '../../src/core/process-table.ts'
import { runs } from '../../src/db/tables/schema.ts'
import { commandsWith, newFolder, openAgents, processesOf, program, untilNone } from '../support/agents.ts'

const SERVER = join(import.meta.dirname, '..', 'support', 'agent-server.ts')

/**
 * Starts a server with these agents in a separate process and kills it as soon as `isTime`, asked at each event.
 * (Default: it kills itself, as set in its environment.)
 */
async function killServer(
  folder: string,
  programs: string[],
  isTime: (events: RuntimeEvent[]) => boolean = () => false,
  environment: Record<string, string> = {},
) {
  const server = spawn(process.execPath, [SERVER, join(folder, 'state.db'), ...programs.map(program)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  })
  onTestFinished(() => void server.kill('SIGKILL'))
  const events: RuntimeEvent[] = []
  for await (const line of createInterface(server.stdout)) {
    events.push(JSON.parse(line))
    if (isTime(events)) break
  }
  server.kill('SIGKILL')
  if (server.signalCode === null) await once(server, 'exit')
  return [...new Set(events.flatMap(({ agent_id }) => agent_id ?? []))]
}

const countPrinted = (events: RuntimeEvent[], text: string) =>
  events.filter((event) => event.type === 'agent.output' && event.data.text === text).length

it('when the server is killed its agents die with it, also those that ran from their group', async () => {
  const folder = newFolder()
  const programs = ['forever.py', 'ignore_signals.py', 'fork_setsid.py']
  const ids = await killServer(
    folder,
    programs,
    (events) => countPrinted(events, 'ready') === 3 && countPrinted(events, 'away') === 20,
  )
  for (const id of ids) expect(await untilNone(() => processesOf(id)), id).toEqual([])

  const agents = openAgents({ folder })
  expect(Object.values(agents.state.read().agents).map(({ state }) => state)).toEqual(Array(3).fill('running'))
  await agents.supervisor.endLeftovers()
  for (const id of ids) {
    expect(agents.state.read().agents[id]).toMatchObject({
      state: 'failed',
      pid: null,
      reason: 'the server exited before the agent',
    })
  }
  expect(agents.store.runs.findOpen()).toEqual([])
  await expect(agents.supervisor.restart(ids[0]!)).rejects.toMatchObject({
    code: 'agent_not_running',
    hint: expect.stringMatching(/^start its script as a new agent: "iron-cage start \/.+\.py"$/),
  })
})

it('an agent without our mark in its environment dies as well, with its group', async () => {
  const folder = newFolder()
  await killServer(folder, ['clean_environment.py'], (events) => countPrinted(events, 'clean') === 1)
  const agents = openAgents({ folder })
  const [agent] = Object.values(agents.state.read().agents)
  const find = async () => ((await processStarted(agent!.pid!)) === undefined ? [] : [agent!.pid])
  expect(await untilNone(find)).toEqual([])
})

it.runIf(process.platform === 'linux')('a daemon that kept nothing of its agent dies with the server', async () => {
  const folder = newFolder()
  let mark = ''
  await killServer(folder, ['daemon_without_environment.py'], (events) => {
    for (const { type, message } of events) if (type === 'agent.output') mark = message
    return mark !== ''
  })
  expect(mark).toMatch(/^[0-9a-f]{16}$/)
  expect(await untilNone(async () => commandsWith(mark))).toEqual([])
  openAgents({ folder })
})

it('an agent that waited for its restart is recorded as ended, too', async () => {
  const folder = newFolder()
  const ids = await killServer(folder, ['crash_after.py'], undefined, { DIES_AT_WAIT_MS: '500' })
  const agents = openAgents({ folder })
  expect(agents.state.read().agents[ids[0]!]!.state).toBe('starting')
  await agents.supervisor.endLeftovers()
  expect(agents.state.read().agents[ids[0]!]).toMatchObject({
    state: 'failed',
    reason: 'the server exited before the agent',
  })
})

/** A run of a killed server, whose row has `pid` and its start time. */
function insertRun(agents: ReturnType<typeof openAgents>, agentId: AgentId, pid: number, started: string): void {
  agents.store.runs.insert({
    id: toRunId(`run-${agentId}`),
    agent_id: agentId,
    name: 'forever',
    script: '/forever.py',
    environment: 'development',
    restart: 0,
    pid,
    pid_started: started,
    started_at: '2026-11-21T12:00:00.000Z',
  })
}

async function startSleep(environment: Record<string, string> = {}): Promise<{ process: ChildProcess; pid: number }> {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore', env: { ...process.env, ...environment } })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return { process: child, pid: child.pid! }
}

it('a leftover is known by pid and start time, and ended', async () => {
  const agents = openAgents()
  const leftover = await startSleep()
  insertRun(agents, toAgentId('lo-00000001'), leftover.pid, (await processStarted(leftover.pid))!)
  await agents.supervisor.endLeftovers()
  expect(leftover.process.signalCode ?? (await once(leftover.process, 'exit'))[1]).toBe('SIGKILL')
  expect(agents.store.orm.select().from(runs).all()).toMatchObject([{ exit_code: null, signal: null }])
  expect(agents.store.runs.findOpen()).toEqual([])
})

it('a process that only has the pid of a leftover is left alone', async () => {
  const agents = openAgents()
  const stranger = await startSleep()
  insertRun(agents, toAgentId('lo-00000002'), stranger.pid, 'long ago')
  await agents.supervisor.endLeftovers()
  expect(await processStarted(stranger.pid)).toBeDefined()
  expect(agents.store.runs.findOpen()).toEqual([])
})

it('a child of a leftover is known by the id of the agent, although its parent is gone', async () => {
  const agents = openAgents()
  const child = await startSleep({ IRON_CAGE_AGENT_ID: 'lo-00000003' })
  insertRun(agents, toAgentId('lo-00000003'), 4_194_305, 'long ago')
  await agents.supervisor.endLeftovers()
  expect(child.process.signalCode ?? (await once(child.process, 'exit'))[1]).toBe('SIGKILL')
})
