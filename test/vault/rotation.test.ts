import { describe, expect, onTestFinished, test } from 'vitest'
import { type ApiClient, connectToDatabase } from '../../src/cli/client/client.ts'
import { rotateAndReport } from '../../src/cli/commands/secrets/rotation-progress.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { EventOf, EventType } from '../../src/core/events.ts'
import type { AgentId } from '../../src/core/ids.ts'
import { newMasterKey } from '../../src/vault/master-key.ts'
import { Rotation } from '../../src/vault/rotation.ts'
import type { Requester } from '../../src/vault/secret-audit.ts'
import { python } from '../support/agent-parts.ts'
import { program } from '../support/agents.ts'
import { openTestRuntime, type RuntimeOptions, type TestRuntime } from '../support/runtime.ts'

const ADMIN: Requester = { role: 'admin', actor: 'ann', agentId: null }

/** Ten values that differ in their end. */
const value = (number: number): string => `a-long-enough-secret-value-v${number}`

async function openCage(options: RuntimeOptions = {}): Promise<TestRuntime> {
  return openTestRuntime({
    masterKey: newMasterKey(),
    ...options,
    agent: { python, stop_grace_s: 1, ...options.agent },
  })
}

const create = (cage: TestRuntime, name = 'A_KEY', text = value(1)) =>
  cage.runtime.vault.create({ name, environment: 'development', value: text }, ADMIN)

const rotate = (cage: TestRuntime, text: string, name = 'A_KEY') =>
  cage.runtime.vault.update(cage.runtime.vault.find(name, 'development')!.id, text, ADMIN)

async function start(cage: TestRuntime, script: string, ...args: string[]): Promise<AgentId> {
  const { agentId } = await cage.runtime.supervisor.start({ script: program(script), args })
  return agentId
}

/** The first event that fits, also one that has been already. */
async function seen<T extends EventType>(
  cage: TestRuntime,
  type: T,
  fits: (event: EventOf<T>) => boolean = () => true,
): Promise<EventOf<T>> {
  const past = cage.of(type).find(fits)
  if (past) return past
  return new Promise((resolve) => {
    const unsubscribe = cage.runtime.state.subscribe((event) => {
      if (event.type !== type || !fits(event as EventOf<T>)) return
      unsubscribe()
      resolve(event as EventOf<T>)
    })
  })
}

const printed = (cage: TestRuntime, text: string) => seen(cage, 'agent.output', ({ data }) => data.text === text)

const pidOf = (cage: TestRuntime, id: AgentId) => cage.runtime.state.read().agents[id]!.pid

/** Another token of the agent's present run. */
function tokenOf(cage: TestRuntime, agentId: AgentId): string {
  const { run_id: runId, name } = cage.runtime.state.read().agents[agentId]!
  return cage.runtime.runTokens.issue({ agentId, runId, name, script: '' })
}

const outcome = ({ data }: EventOf<'secret.rotated'>) => [data.reloaded, data.restart_required]

describe('an agent starts', () => {
  test('an agent starts with the secrets of its environment only, and without shielded keys', async () => {
    const cage = await openCage({ agent: { provider_keys: 'shield' } })
    await create(cage)
    await create(cage, 'OPENAI_API_KEY', 'sk-real')
    await cage.runtime.vault.create({ name: 'B_KEY', environment: 'production', value: value(7) }, ADMIN)
    await start(cage, 'print_environment.py', 'A_KEY', 'B_KEY', 'OPENAI_API_KEY')
    await cage.event('agent.exited')
    const lines = cage
      .of('agent.output')
      .map(({ data }) => data.text)
      .join('\n')
    expect(lines).toContain('v1')
    expect(lines).not.toMatch(/v7|sk-real/)
    const reads = cage.database.prepare("SELECT secret_name FROM secret_audit_log WHERE operation = 'read'").all()
    expect(reads).toEqual([{ secret_name: 'A_KEY' }])
  })

  test('an agent asks for no other secrets later; a key that it is shielded from is rotated without it', async () => {
    const cage = await openCage({ agent: { provider_keys: 'shield' } })
    await create(cage)
    await create(cage, 'OPENAI_API_KEY', 'sk-real-and-long-enough')
    const id = await start(cage, 'keep_key.py')
    await printed(cage, 'ends in v1')
    const answer = await cage.get('/api/run/secrets', tokenOf(cage, id))
    expect(answer.json()).toEqual({ revision: 0, secrets: { A_KEY: value(1) } })
    await rotate(cage, 'sk-another-and-long-enough', 'OPENAI_API_KEY')
    expect(outcome(await cage.event('secret.rotated'))).toEqual([0, 0])
  })

  test('an agent gets no secret with a name that programs obey, even one that an older version accepted', async () => {
    const { vault, state } = (await openCage()).runtime
    const rotation = new Rotation({ vault, state, clock: systemClock, providerKeyNames: new Set() })
    onTestFinished(() => rotation.close())
    const isWithheld = (name: string) => rotation.isWithheld({ providerKeys: 'inject' }, name)
    expect(['LD_PRELOAD', 'PYTHONPATH', 'A_KEY'].map(isWithheld)).toEqual([true, true, false])
  })

  test('an agent starts without its secrets while the vault is locked, which is reported', async () => {
    const cage = await openCage()
    await create(cage)
    await cage.close()
    const locked = await openCage({ masterKey: undefined, folder: cage.folder })
    await start(locked, 'keep_key.py')
    await printed(locked, 'ends in ng')
    expect((await locked.event('secret.withheld')).data).toEqual({ environment: 'development', secrets: 1 })
  })

  test('an agent starts with a hundred secrets, and the time that it takes is printed', async () => {
    const masterKey = newMasterKey()
    const cage = await openCage({ masterKey })
    await Promise.all(Array.from({ length: 100 }, (_, number) => create(cage, `KEY_${number}`, value(number))))
    await cage.close()
    const again = await openCage({ masterKey, folder: cage.folder })
    const startedAt = performance.now()
    await start(again, 'print_environment.py')
    const tookMs = performance.now() - startedAt
    await again.event('agent.exited')
    const printed = again.of('agent.output').map(({ data }) => data.text)
    for (let number = 0; number < 100; number++) expect(printed.join()).toContain(`"KEY_${number}"`)
    console.log(`an agent with 100 secrets was started ${Math.round(tookMs)} ms after its server`)
  })
})

describe('a new value', () => {
  test('a new value is reported on the command line agent by agent', async () => {
    const cage = await openCage()
    await create(cage)
    const id = await start(cage, 'keep_key.py')
    await start(cage, 'shell_agent.sh')
    await seen(cage, 'agent.output', ({ agent_id, data }) => agent_id === id && data.text === 'ends in v1')
    const { access_token: token } = await cage.login()
    const client = {
      send: async <Body>(method: string, path: string, body?: unknown) =>
        (method === 'GET' ? await cage.get(path, token) : await cage.post(path, body, token, 'PUT')).json() as Body,
    }
    const printed: string[] = []
    const secret = cage.runtime.vault.find('A_KEY', 'development')!
    const rotated = await rotateAndReport(client, secret, value(2), (line) => printed.push(line))
    expect(rotated).toMatchObject({ version: 2, rotation: { reloaded: 1, restart_required: 1 } })
    expect(printed).toEqual([
      expect.stringMatching(/^keep_key has the new A_KEY, after \d+ ms$/),
      'shell_agent does not listen for rotated secrets: restart required for the new A_KEY',
      'A_KEY of development rotated: 1 agent has it, 1 needs a restart',
    ])
    const audit = cage.database.prepare('SELECT operation, agent_id, success FROM secret_audit_log ORDER BY seq').all()
    expect(audit).toContainEqual({ operation: 'reloaded', agent_id: id, success: 1 })
    expect(audit).toContainEqual({ operation: 'reload_failed', agent_id: expect.any(String), success: 0 })
  })

  test('a new value counts as delivered though the server ended with its agent before it could report it', async () => {
    const cage = await openCage()
    await create(cage)
    const server = connectToDatabase(cage.runtime.config.db.path)
    const client: ApiClient = {
      async send<Body>(...request: Parameters<ApiClient['send']>) {
        const answer = await server.send<Body>(...request)
        if (request[0] === 'PUT') await cage.close()
        return answer
      },
    }
    const printed: string[] = []
    const secret = cage.runtime.vault.find('A_KEY', 'development')!
    expect(await rotateAndReport(client, secret, value(2), (line) => printed.push(line))).toMatchObject({ version: 2 })
    expect(printed).toEqual(['The server ended before all agents had answered'])
  })

  test('a new value reaches every agent that listens, in the same process', async () => {
    const cage = await openCage()
    await create(cage)
    const ids = [await start(cage, 'keep_key.py'), await start(cage, 'keep_key.py')]
    await cage.runtime.supervisor.start({ script: program('keep_key.py'), environment: 'production' })
    const pids = ids.map((id) => pidOf(cage, id))
    for (const id of ids)
      await seen(cage, 'agent.output', ({ agent_id, data }) => agent_id === id && data.text === 'ends in v1')
    await rotate(cage, value(2))
    expect(outcome(await cage.event('secret.rotated'))).toEqual([2, 0])
    for (const id of ids)
      await seen(cage, 'agent.output', ({ agent_id, data }) => agent_id === id && data.text === 'ends in v2')
    expect(ids.map((id) => pidOf(cage, id))).toEqual(pids)
    expect(new Set(cage.of('secret.reloaded').map(({ agent_id }) => agent_id))).toEqual(new Set(ids))
  })

  test('a new value never harms an agent, even one that handles SIGUSR1 itself', async () => {
    await Promise.all(
      ['own', 'default', 'exec'].map(async (what) => {
        const cage = await openCage()
        await create(cage)
        const id = await start(cage, 'keep_key.py', what)
        await printed(cage, what === 'exec' ? 'became a shell' : 'ends in v1')
        const pid = pidOf(cage, id)
        await rotate(cage, value(2))
        expect(outcome(await cage.event('secret.rotated')), what).toEqual([0, 1])
        expect((await cage.event('secret.reload_failed')).data.reason, what).toBe('no_answer')
        if (what === 'own') await printed(cage, 'own handler')
        expect(cage.of('alert.raised').map(({ data }) => data.kind)).toEqual(['restart_required', 'secret_rotated'])
        await rotate(cage, value(3))
        await seen(cage, 'secret.rotated', ({ seq }) => seq > cage.of('secret.rotated')[0]!.seq)
        const heard = cage.of('agent.output').filter(({ data }) => data.text === 'own handler')
        // Once only: it did not answer.
        expect(heard, what).toHaveLength(what === 'own' ? 1 : 0)
        expect(pidOf(cage, id), what).toBe(pid)
        expect(cage.of('agent.exited'), what).toEqual([])
      }),
    )
  })

  test('a new value sends no signal to a program without our shim', async () => {
    const cage = await openCage()
    await create(cage)
    const id = await start(cage, 'shell_agent.sh')
    await printed(cage, 'ends in v1')
    await rotate(cage, value(2))
    expect((await cage.event('secret.reload_failed')).data.reason).toBe('does_not_listen')
    expect(outcome(await cage.event('secret.rotated'))).toEqual([0, 1])
    expect(pidOf(cage, id)).not.toBeNull()
    expect(cage.of('agent.exited')).toEqual([])
    await cage.runtime.supervisor.restart(id)
    await printed(cage, 'ends in v2')
  })

  test("a child's acknowledgment never causes a signal", async () => {
    const cage = await openCage()
    await create(cage)
    const id = await start(cage, 'shell_agent.sh')
    await printed(cage, 'ends in v1')
    const said = await cage.post('/api/run/secrets/ack', { pid: process.pid, revision: null }, tokenOf(cage, id))
    expect(said.status).toBe(204)
    await rotate(cage, value(2))
    expect((await cage.event('secret.reload_failed')).data.reason).toBe('does_not_listen')
  })

  test('a new value reaches a paused agent when it resumes, although it had timed out', async () => {
    const cage = await openCage()
    await create(cage)
    const id = await start(cage, 'keep_key.py')
    await printed(cage, 'ends in v1')
    cage.runtime.supervisor.pause(id, 'ann')
    await rotate(cage, value(2))
    expect((await cage.event('secret.reload_failed')).data.reason).toBe('no_answer')
    cage.runtime.supervisor.resume(id, 'ann')
    expect((await cage.event('secret.reloaded')).agent_id).toBe(id)
    await printed(cage, 'ends in v2')
    await rotate(cage, value(3))
    await printed(cage, 'ends in v3')
  })

  test('a new value right after the spawn waits for the agent to listen, and kills none of twenty', async () => {
    const cage = await openCage()
    await create(cage)
    const ids: string[] = []
    let version = 1
    for (let round = 0; round < 10; round++) {
      const starts = [1, 2].map(() => start(cage, 'keep_key.py'))
      await rotate(cage, value(++version))
      ids.push(...(await Promise.all(starts)))
      await rotate(cage, value(++version))
    }
    const rotations = version - 1
    await seen(cage, 'secret.rotated', () => cage.of('secret.rotated').length === rotations)
    // On a busy machine one may be given up, and takes the value over all the same.
    const last = `ends in ${value(version).slice(-2)}`
    const have = () =>
      new Set(cage.of('agent.output').flatMap(({ agent_id, data }) => (data.text === last ? [agent_id] : []))).size
    await seen(cage, 'agent.output', () => have() === 20)
    expect(cage.of('agent.exited')).toEqual([])
    expect(ids).toHaveLength(20)
  })
})
