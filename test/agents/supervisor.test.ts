import { execFileSync } from 'node:child_process'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { EventData, NewEvent } from '../../src/core/events.ts'
import { type AgentId, toAgentId, toCallId } from '../../src/core/ids.ts'
import { nanodollars, usd } from '../../src/core/money.ts'
import { runs } from '../../src/db/tables/schema.ts'
import { type Agents, commandsWith, openAgents, program, untilNone, untilUnharmedBySigusr1 } from '../support/agents.ts'

const AT = '2026-11-21T12:00:00.000Z'
const NO_RESTART = { agent: { restart: { enabled: false } } }
/** For those that do not end by themselves. */
const SHORT_GRACE = { agent: { stop_grace_s: 0.5 } }

const pidOf = (agents: Agents, id: AgentId): number => agents.state.read().agents[id]!.pid!

describe('an agent that ends by itself', () => {
  it.each([
    { code: 0, state: 'completed' },
    { code: 1, state: 'failed' },
    { code: 42, state: 'failed' },
    { code: 255, state: 'failed' },
  ])('the exit code $code is recorded exactly and makes an agent $state', async ({ code, state }) => {
    const agents = openAgents({ config: NO_RESTART })
    const id = await agents.start('exit_with.py', { args: [String(code)] })
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state, exitCode: code, signal: null })
    expect(agents.state.read().agents[id]).toMatchObject({ state, exit_code: code, signal: null, pid: null })
    expect(agents.store.orm.select().from(runs).all()).toMatchObject([{ agent_id: id, exit_code: code }])
  })

  it.each([
    { number: 9, signal: 'SIGKILL' },
    { number: 11, signal: 'SIGSEGV' },
    { number: 15, signal: 'SIGTERM' },
  ])('the death of an agent by $signal is recorded exactly', async ({ number, signal }) => {
    const agents = openAgents({ config: NO_RESTART })
    const id = await agents.start('die_of.py', { args: [String(number)] })
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'failed', exitCode: null, signal })
    expect(agents.store.orm.select().from(runs).all()).toMatchObject([{ exit_code: null, signal }])
  })

  it('children that it leaves behind end with it, wherever they went', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('fork_setsid.py', { args: ['--exit'] })
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed', exitCode: 0 })
  })
})

describe('an agent that crashes', () => {
  it('an agent that crashes runs again after a quarter of a second, as the same agent in a new run', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    const first = await agents.event('agent.started')
    await agents.printed('ready')
    process.kill(first.data.pid!, 'SIGKILL')
    const second = await agents.event('agent.started', ({ data }) => data.restart === 1)
    expect(second.agent_id).toBe(id)
    expect(second.data.run_id).not.toBe(first.data.run_id)
    expect(agents.tokens.valid.map(({ runId }) => runId)).toEqual([second.data.run_id])
    expect((await agents.event('agent.exited')).data).toEqual({
      run_id: first.data.run_id,
      exit_code: null,
      signal: 'SIGKILL',
      state: 'starting',
      reason: 'ended by SIGKILL',
      restart_in_ms: 250,
    })
  })

  it('an agent that crashes and gets nowhere has three lives, with one alarm', async () => {
    const agents = openAgents()
    const id = await agents.start('crash_after.py', { args: ['0.1'] })
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'crash_loop', exitCode: 1, signal: null })
    expect(agents.count('agent.started')).toBe(3)
    expect(agents.events.filter(({ level }) => level === 'CRIT').map(({ type }) => type)).toEqual(['agent.exited'])
    expect(agents.state.read().agents[id]!.reason).toBe('exit code 1; 3 lives without progress')
  })

  it('an agent that always crashes at once is started five times, even if it reports progress', async () => {
    const agents = openAgents()
    agents.state.subscribe(({ type, agent_id, seq }) => {
      if (type === 'agent.started') agents.state.record(progressed(agent_id!, seq))
    })
    const id = await agents.start('crash_after.py', { args: ['0.1'] })
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'crash_loop' })
    expect(agents.count('agent.started')).toBe(5)
    expect(agents.state.read().agents[id]!.reason).toBe('exit code 1; 5 crashes within 60 s')
  })

  it('an agent that crashes again and again goes on as long as each life leaves a new checkpoint', async () => {
    const agents = openAgents({ config: { agent: { restart: { max: 100 } } } })
    const checkpoints = agents.store.checkpoints
    const owner = { name: 'crash_after', script: program('crash_after.py') }
    checkpoints.put(owner, 0, AT)
    let lives = 0
    agents.state.subscribe(({ type }) => {
      if (type !== 'agent.started') return
      lives += 1
      checkpoints.put(owner, Math.min(lives, 4), AT)
    })
    await agents.supervisor.whenEnded(await agents.start('crash_after.py', { args: ['0'] }))
    expect(lives).toBe(4 + 3)
  })

  it('an agent that crashes has its three lives again when an operator starts it again', async () => {
    const agents = openAgents()
    const id = await agents.start('crash_after.py', { args: ['0'] })
    await agents.supervisor.whenEnded(id)
    await agents.supervisor.restart(id)
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'crash_loop' })
    expect(agents.count('agent.started')).toBe(6)
  })

  it.each([
    [401, 'provider_refused', '; openai refused its key (401)'],
    [429, 'provider_refused', ''],
    [503, 'circuit_open', ''],
  ])(
    'repeated crashes after a call that ended with %i %s name the key only if it was refused',
    async (status, code, hint) => {
      const agents = openAgents()
      agents.state.subscribe(({ type, agent_id }) => {
        if (type === 'agent.started') agents.state.record(failedCall(agent_id!, status, code))
      })
      const id = await agents.start('crash_after.py', { args: ['0.1'] })
      await agents.supervisor.whenEnded(id)
      expect(agents.state.read().agents[id]!.reason).toBe(`exit code 1; 3 lives without progress${hint}`)
    },
  )

  it.each([
    ['syntax_error.py', 'SyntaxError'],
    ['import_error.py', "ModuleNotFoundError: No module named 'no_such_module'; it ran on /"],
  ])('an agent with the unloadable program %s is reported with its reason and not restarted', async (script, why) => {
    const agents = openAgents()
    const id = await agents.start(script)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'failed', exitCode: 1, signal: null })
    expect(agents.count('agent.started')).toBe(1)
    expect(agents.state.read().agents[id]!.reason).toContain(`exit code 1: ${why}`)
  })

  it('an agent that crashes is not started again when it is stopped while it waits for that', async () => {
    const agents = openAgents()
    const id = await agents.start('crash_after.py', { args: ['0'] })
    await agents.event('agent.exited', ({ data }) => data.restart_in_ms === 500)
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: 1, signal: null })
    expect(agents.count('agent.started')).toBe(2)
    expect(agents.state.read().agents[id]!.state).toBe('stopped')
  })
})

describe('stop', () => {
  it('a stop caused by the crash itself is obeyed at once', async () => {
    const agents = openAgents()
    const id = await agents.start('crash_after.py', { args: ['0'] })
    let hasWaited = false
    agents.state.subscribe((event) => {
      if (event.type !== 'agent.exited' || event.data.restart_in_ms !== 500) return
      // Set before the agent's own, for as long: were it waited for, this one would be over first.
      setTimeout(() => {
        hasWaited = true
      }, 500).unref()
      void agents.supervisor.stop(id, 'budget')
    })
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'budget_stopped' })
    expect(hasWaited).toBe(false)
  })

  it('a stop ends an agent by SIGINT', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    await agents.printed('ready')
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: null, signal: 'SIGINT' })
    const types = agents.events.map(({ type }) => type).filter((type) => type !== 'agent.output')
    expect(types).toEqual(['agent.started', 'agent.stopped', 'agent.exited'])
  })

  it('a stop lets an agent clean up and records its last output', async () => {
    const agents = openAgents()
    const id = await agents.start('tidy_up.py')
    await agents.printed('ready')
    await agents.supervisor.stop(id)
    expect(agents.lines()).toEqual(['ready', 'interrupted', 'goodbye'])
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: 0, signal: null })
  })

  it('a stop sends SIGTERM to processes that survive SIGINT', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('say_signals.py')
    await agents.printed('ready')
    await agents.supervisor.stop(id)
    expect(agents.lines()).toEqual(['ready', 'SIGINT', 'SIGTERM'])
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: 0, signal: null })
  })

  it('a stop kills processes that ignore both signals when the grace is over', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('ignore_signals.py')
    await agents.printed('ready')
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: null, signal: 'SIGKILL' })
  })

  it('a stop reaches twenty children that left group, session and parent', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('fork_setsid.py')
    await agents.printed('ready')
    await allAway(agents)
    await agents.supervisor.stop(id)
    expect((await agents.event('agent.stopped')).data).toEqual({ reason: 'operator', survivors: [] })
  })

  it.runIf(process.platform === 'linux')(
    'stopping an agent also ends its daemon that kept none of its environment',
    async () => {
      const agents = openAgents({ config: SHORT_GRACE })
      const id = await agents.start('daemon_without_environment.py')
      const { data } = await agents.event('agent.output')
      expect(commandsWith(data.text)).toHaveLength(1)
      await agents.supervisor.stop(id)
      expect(commandsWith(data.text)).toEqual([])
    },
  )

  it('a stop requested many times at once happens once', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    await Promise.all(Array.from({ length: 10 }, () => agents.supervisor.stop(id)))
    expect(agents.count('agent.stopped')).toBe(1)
    expect(agents.count('agent.exited')).toBe(1)
    await agents.supervisor.stop(id)
    expect(agents.count('agent.stopped')).toBe(1)
  })

  it('a stop finds an agent that is just being started before it runs', async () => {
    const agents = openAgents()
    const starting = agents.start('forever.py')
    await agents.supervisor.close()
    expect(await agents.supervisor.whenEnded(await starting)).toMatchObject({ state: 'stopped' })
    expect(agents.lines()).toEqual([])
  })

  it('a stop of an agent that never existed is refused', async () => {
    await expect(openAgents().supervisor.stop(toAgentId('lg-00000000'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('pause and resume', () => {
  it('pause stops the process where it is and resume continues it, while another agent runs on', async () => {
    const agents = openAgents()
    const id = await agents.start('count.py')
    const other = await agents.start('count.py')
    const counted = (of: AgentId) => agents.events.filter((e) => e.type === 'agent.output' && e.agent_id === of).length
    const countsTo = (of: AgentId, number: number) =>
      agents.event('agent.output', ({ agent_id, data }) => agent_id === of && data.text === String(number))
    await countsTo(id, 3)
    agents.supervisor.pause(id, 'ann')
    expect(await untilNone(async () => (stateInSystem(pidOf(agents, id)) === 'T' ? [] : ['runs']))).toEqual([])
    expect(agents.state.read().agents[id]!.state).toBe('paused')
    // Lines may be in the pipe: each turn of the event loop reads it.
    for (const _turn of [1, 2]) await nextTurn()
    const atPause = counted(id)
    await countsTo(other, counted(other) + 10)
    expect(counted(id)).toBe(atPause)
    agents.supervisor.resume(id, 'ann')
    await countsTo(id, atPause + 5)
    expect(agents.state.read().agents[id]!.state).toBe('running')
  })

  it('a paused agent can be stopped, and cleans up', async () => {
    const agents = openAgents()
    const id = await agents.start('tidy_up.py')
    await agents.printed('ready')
    agents.supervisor.pause(id, 'ann')
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'stopped', exitCode: 0, signal: null })
  })

  it('pause and resume requested twice happen once', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    agents.supervisor.resume(id, 'ann')
    agents.supervisor.pause(id, 'ann')
    agents.supervisor.pause(id, 'ann')
    expect([agents.count('agent.paused'), agents.count('agent.resumed')]).toEqual([1, 0])
  })

  it('pause and resume need a running agent', async () => {
    const agents = openAgents()
    const id = await agents.start('exit_with.py', { args: ['0'] })
    await agents.supervisor.whenEnded(id)
    expect(() => agents.supervisor.pause(id, 'ann')).toThrow(`${id} is not running`)
    expect(() => agents.supervisor.resume(id, 'ann')).toThrow(
      expect.objectContaining({
        message: `${id} is not running`,
        hint: `start it again with "iron-cage restart ${id}"`,
      }),
    )
  })
})

describe('restart by the operator', () => {
  it('a restart by the operator replaces the process of a running agent, and callers that wait for its end keep waiting', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    const before = pidOf(agents, id)
    const ended = agents.supervisor.whenEnded(id)
    await agents.supervisor.restart(id)
    const again = await agents.event('agent.started', ({ data }) => data.restart === 1)
    expect(again.data.pid).not.toBe(before)
    expect((await agents.event('agent.exited')).data).toMatchObject({ state: 'starting', restart_in_ms: 0 })
    await agents.supervisor.stop(id)
    expect(await ended).toMatchObject({ state: 'stopped' })
  })

  it('a restart by the operator starts an agent that has ended', async () => {
    const agents = openAgents()
    const id = await agents.start('exit_with.py', { args: ['0'] })
    await agents.supervisor.whenEnded(id)
    await agents.supervisor.restart(id)
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed' })
    expect(agents.count('agent.started')).toBe(2)
    expect(agents.state.read().agents[id]!.restarts).toBe(1)
  })

  it('a restart by the operator is refused while the agent is being stopped', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    const stopped = agents.supervisor.stop(id)
    await expect(agents.supervisor.restart(id)).rejects.toMatchObject({ code: 'conflict' })
    await stopped
    expect(agents.count('agent.started')).toBe(1)
  })

  it('a restart by the operator is cancelled by a stop', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('ignore_signals.py')
    await agents.printed('ready')
    await agents.supervisor.restart(id)
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'stopped' })
    expect(agents.count('agent.started')).toBe(1)
  })
})

describe('the budget', () => {
  /** A call that costs more than there is. */
  const overspend = async (agents: Agents, id: AgentId) => {
    const call = {
      callId: toCallId('call-1'),
      agentId: id,
      runId: null,
      kind: 'llm',
      target: 'openai',
      model: 'gpt-4',
    } as const
    await expect(agents.ledger.hold({ ...call, maxCost: nanodollars(6_000_000_000) })).rejects.toMatchObject({
      code: 'budget_exceeded',
    })
  }

  it('an exhausted budget stops the agent for good', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('tidy_up.py', { limitUsd: usd('5') })
    await agents.printed('ready')
    await overspend(agents, id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'budget_stopped', exitCode: 0, signal: null })
    expect((await agents.event('agent.stopped')).data.reason).toBe('budget')
    expect(agents.count('agent.started')).toBe(1)
  })

  it('an exhausted budget gives the agent its grace to end by itself', async () => {
    const agents = openAgents({ config: { agent: { stop_grace_s: 60 } } })
    const id = await agents.start('ends_later.py', { limitUsd: usd('5') })
    await agents.printed('ready')
    await overspend(agents, id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'budget_stopped', exitCode: 7, signal: null })
  })

  it("an operator's stop does not wait for the grace of an exhausted budget", async () => {
    const agents = openAgents({ config: { agent: { stop_grace_s: 60 } } })
    const id = await agents.start('tidy_up.py', { limitUsd: usd('5') })
    await agents.printed('ready')
    await overspend(agents, id)
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toEqual({ state: 'budget_stopped', exitCode: 0, signal: null })
  })

  it('an exhausted budget must be raised before the operator can start the agent again', async () => {
    const agents = openAgents({ config: SHORT_GRACE })
    const id = await agents.start('forever.py', { limitUsd: usd('5') })
    await overspend(agents, id)
    await agents.supervisor.whenEnded(id)
    await expect(agents.supervisor.restart(id)).rejects.toMatchObject({ code: 'budget_exceeded' })
    agents.ledger.accounts.setLimit(id, nanodollars(10_000_000_000), 'ann')
    await agents.supervisor.restart(id)
    expect(agents.state.read().agents[id]).toMatchObject({ state: 'running', limit_usd: '10' })
  })

  it('with on_exhausted: refuse an exhausted budget lets the agent live', async () => {
    const agents = openAgents({ config: { budget: { on_exhausted: 'refuse' } } })
    const id = await agents.start('forever.py', { limitUsd: usd('5') })
    await overspend(agents, id)
    expect(agents.count('budget.exhausted')).toBe(1)
    expect(agents.state.read().agents[id]!.state).toBe('running')
    expect(agents.count('agent.stopped')).toBe(0)
  })
})

describe('personal data', () => {
  const found = (action: 'block' | 'redact'): EventData['pii.found'] => ({
    incident_id: 'pii-1',
    pii_type: 'email',
    risk: 'HIGH',
    action,
    place: 'reply',
    call_id: null,
    value_hash: '',
    start: 0,
    end: 1,
    unit: null,
  })
  const tell = (agents: Agents, id: AgentId, action: 'block' | 'redact') =>
    agents.state.record({ type: 'pii.found', level: 'CRIT', message: 'found', agent_id: id, data: found(action) })

  it('a blocked finding stops the agent for good, and a redacted one does not', async () => {
    const agents = openAgents()
    const id = await agents.start('forever.py')
    tell(agents, id, 'redact')
    expect(agents.count('agent.stopped')).toBe(0)
    tell(agents, id, 'block')
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'blocked' })
    expect(agents.count('agent.started')).toBe(1)
  })
})

describe('several agents', () => {
  it('ten started at once all run, and end in the reverse order of their start', async () => {
    const agents = openAgents()
    const ids = await Promise.all(Array.from({ length: 10 }, () => agents.start('forever.py')))
    expect(agents.supervisor.list().map(({ state }) => state)).toEqual(Array(10).fill('running'))
    await agents.supervisor.close()
    const exits = agents.events.flatMap(({ type, agent_id }) => (type === 'agent.exited' ? [agent_id] : []))
    expect(exits).toEqual([...ids].reverse())
    await expect(agents.start('forever.py')).rejects.toMatchObject({ code: 'conflict' })
  })
})

describe('the command and environment of a started agent', () => {
  it('an agent starts with the environment of the contract, in the folder of the configuration', async () => {
    const agents = openAgents({ environment: { NODE_OPTIONS: '--inspect', IRON_CAGE_MASTER_KEY: 'k', MINE: 'kept' } })
    const id = await agents.start('print_environment.py')
    await agents.supervisor.whenEnded(id)
    const [folder, variables] = agents.lines()
    expect(folder).toBe(agents.folder)
    const environment = JSON.parse(variables!)
    const { run_id } = (await agents.event('agent.started')).data
    expect(environment).toMatchObject({
      OPENAI_BASE_URL: `http://127.0.0.1:8080/gateway/${run_id}/openai/v1`,
      IRON_CAGE_GATEWAY_URL: `http://127.0.0.1:8080/gateway/${run_id}`,
      IRON_CAGE_TOKEN: `run_${run_id}`,
      IRON_CAGE_AGENT_ID: id,
      MINE: 'kept',
    })
    for (const name of ['NODE_OPTIONS', 'IRON_CAGE_MASTER_KEY', 'IRON_CAGE_GATE']) {
      expect(environment).not.toHaveProperty(name)
    }
  })

  it('SIGUSR1 right after its start does it no harm', async () => {
    const agents = openAgents()
    const id = await agents.start('tidy_up.py')
    await untilUnharmedBySigusr1(pidOf(agents, id))
    for (let sent = 0; sent < 100; sent += 1) process.kill(pidOf(agents, id), 'SIGUSR1')
    await agents.printed('ready')
    process.kill(pidOf(agents, id), 'SIGUSR1')
    await agents.supervisor.stop(id)
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'stopped', exitCode: 0 })
  })

  it('the checkpoint of an agent is there after a crash and gone after exit code 0', async () => {
    const agents = openAgents({ config: NO_RESTART })
    const checkpoints = agents.store.checkpoints
    const owner = { name: 'exit_with', script: program('exit_with.py') }
    checkpoints.put(owner, { lead: 40 }, AT)
    await agents.supervisor.whenEnded(await agents.start('exit_with.py', { args: ['1'] }))
    expect(checkpoints.get(owner)).toEqual({ version: 1, data: { lead: 40 } })
    await agents.supervisor.whenEnded(await agents.start('exit_with.py', { args: ['0'] }))
    expect(checkpoints.get(owner)).toBeUndefined()
  })
})

describe('the output of an agent', () => {
  it('the output of an agent is recorded line by line, redacted, and withheld when it cannot be redacted', async () => {
    const redact = (text: string) => {
      if (text === 'broken') throw new Error('no')
      return text.replace('ann@acme.com', '[EMAIL_REDACTED]')
    }
    const agents = openAgents({ redact })
    const bytes = Buffer.from('to ann@acme.com\nbroken\nlast')
    await agents.supervisor.whenEnded(await agents.start('print_bytes.py', { args: [bytes.toString('hex')] }))
    expect(agents.lines()).toEqual(['to [EMAIL_REDACTED]', '[line withheld: it could not be redacted]', 'last'])
  })

  it('a hundred megabytes of output are logged or counted in flat memory, without delaying other agents', async () => {
    const agents = openAgents({ config: { log: { max_agent_output_bytes: 1_048_576 } } })
    const other = await agents.start('count.py')
    await agents.printed('1')
    // The first flood may fill the read buffers before they are garbage collected; the second must find room there.
    await agents.supervisor.whenEnded(await agents.start('flood.py'))
    const before = process.memoryUsage().rss
    agents.logged.length = 0
    const flood = await agents.start('flood.py')
    await agents.supervisor.whenEnded(flood)
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1_048_576)
    expect(agents.lines('stderr')).toEqual(['done', 'done'])
    const ofFlood = agents.events.flatMap((event) =>
      event.type === 'agent.output' && event.agent_id === flood && event.data.stream === 'stdout'
        ? [event.data.text]
        : [],
    )
    const sum = (what: RegExp) => ofFlood.reduce((total, text) => total + Number(what.exec(text)?.[1] ?? 0), 0)
    const shown = ofFlood.filter((text) => text.startsWith('x')).length
    const logged = sum(/(\d+) lines? in the log file only/)
    expect(logged).toBe(agents.logged.length)
    expect(logged).toBe(Math.floor(1_048_576 / 99))
    expect(shown + logged + sum(/(\d+) lines? dropped/)).toBe(1_000_000)
    await agents.supervisor.stop(other)
    const counted = agents.lines().filter((text) => /^\d+$/.test(text))
    expect(counted).toEqual(counted.map((_, index) => String(index + 1)))
  })

  it('a line of 64 megabytes is cut, and the next one is whole', async () => {
    const agents = openAgents()
    await agents.supervisor.whenEnded(await agents.start('long_line.py', { args: ['64'] }))
    const output = agents.events.flatMap((event) => (event.type === 'agent.output' ? [event.data] : []))
    expect(output).toEqual([
      { stream: 'stdout', text: 'x'.repeat(16_384), truncated: true },
      { stream: 'stdout', text: 'after' },
    ])
  })
})

const progressed = (agent_id: AgentId, done: number): NewEvent => ({
  type: 'progress.updated',
  level: 'DEBUG',
  agent_id,
  message: `${done} leads`,
  data: { done, total: null, unit: 'leads', label: null },
})

const failedCall = (agent_id: AgentId, status: number, code: string): NewEvent => ({
  type: 'call.failed',
  level: 'WARN',
  agent_id,
  message: 'gpt-4 failed',
  data: {
    call_id: toCallId('call-1'),
    provider: 'openai',
    model: 'gpt-4',
    code,
    status,
    cost_usd: usd('0'),
    estimated: false,
    latency_ms: 1,
    retryable: false,
  },
})

/** T is stopped. */
const stateInSystem = (pid: number): string =>
  execFileSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })[0]!

/** Resolves when all twenty children are out of their group. */
async function allAway(agents: Agents): Promise<void> {
  const count = () => agents.lines().filter((text) => text === 'away').length
  if (count() === 20) return
  await agents.event('agent.output', () => count() === 20)
}
