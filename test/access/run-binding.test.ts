/**
 * A run's token is the run's own: a stranger with the token gets nothing, and every process that the run started may
 * use it. Real processes against a real server; the test itself is the stranger.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Peers } from '../../src/access/peers.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import { type AgentId, type RunId, toAgentId } from '../../src/core/ids.ts'
import { processStarted } from '../../src/core/process-table.ts'
import { python } from '../support/agent-parts.ts'
import { program } from '../support/agents.ts'
import { sends } from '../support/provider.ts'
import { openTestRuntime, send, type TestRuntime, until } from '../support/runtime.ts'

interface Started {
  cage: TestRuntime
  agentId: AgentId
  runId: RunId
  /** The printed line of the agent that begins with this word. */
  said: (word: string) => string | undefined
  token: string
}

async function startAgent(script: string, agent: Record<string, unknown> = {}): Promise<Started> {
  const cage = await openTestRuntime()
  cage.provider.does(sends(200, { 'content-type': 'application/json' }, { data: [] }))
  const { runTokens, supervisor } = cage.runtime
  let token = ''
  const issue = runTokens.issue.bind(runTokens)
  runTokens.issue = (run) => {
    token = issue(run)
    return token
  }
  const { agentId } = await supervisor.start({ script: program(script), python, ...agent })
  const lines = () => cage.of('agent.output').map(({ data }) => data.text)
  const said = (word: string) =>
    lines()
      .find((line) => line.startsWith(`${word} `) || line === word)
      ?.slice(word.length + 1)
  return { cage, agentId, runId: cage.runtime.state.read().agents[agentId]!.run_id, said, token }
}

/** The answers to this process, which does not belong to the run. */
async function answersTo({ cage, runId, token }: Started): Promise<Record<string, unknown>> {
  const bearer = { authorization: `Bearer ${token}` }
  const routes = {
    'the run API': ['/api/run', bearer],
    'its secrets': ['/api/run/secrets', bearer],
    'secrets by the other road': ['/api/secrets', bearer],
    'the token in the address': [`/gateway/${token}/openai/v1/models`, {}],
    'the token as key': ['/gateway/openai/v1/models', bearer],
    'the token as the other key': ['/gateway/anthropic/v1/models', { 'x-api-key': token }],
    'the id in the address': [`/gateway/${runId}/openai/v1/models`, {}],
    'the id in the address, the token as key': [`/gateway/${runId}/openai/v1/models`, bearer],
    'a service': [`/gateway/${runId}/services/crm/people`, {}],
  } as const
  const answers = Object.entries(routes).map(async ([name, [path, headers]]) => {
    const { status, json } = await send(cage.url + path, { method: 'GET', headers })
    return [name, [status, (json().error as { code?: unknown } | undefined)?.code]] as const
  })
  return Object.fromEntries(await Promise.all(answers))
}

describe('a machine on which the caller’s process can be looked up', () => {
  test('every process of a run may use its token, and a process outside the run may not', async () => {
    const started = await startAgent('call_as_others.py')
    const { cage, said } = started
    await until(() => said('done') !== undefined, 'the agent has called from all of its processes')
    const good = '[200, 200]'
    expect([said('itself'), said('child'), said('orphan'), said('session')]).toEqual([good, good, good, good])
    expect(said('pool')).toBe(Array(6).fill(good).join(' '))
    expect(said('daemon')).toBe(good)

    const before = cage.of('auth.failed').length
    const answers = await answersTo(started)
    for (const [name, answer] of Object.entries(answers)) expect(answer, name).toEqual([401, 'foreign_process'])
    const failed = cage.of('auth.failed').slice(before)
    expect(failed).toHaveLength(Object.keys(answers).length)
    for (const { message } of failed) expect(message).toContain(`the processes of ${started.runId} alone`)
    expect(JSON.stringify(cage.events)).not.toContain(started.token)
    expect(cage.provider.requests.filter(({ url }) => !url.endsWith('/models'))).toEqual([])
  })

  test('none of many strangers at once is answered, and the run is', async () => {
    const { cage, token, said } = await startAgent('call_as_others.py')
    const headers = { authorization: `Bearer ${token}` }
    const strangers = Array.from({ length: 100 }, () => send(`${cage.url}/api/run`, { method: 'GET', headers }))
    expect(new Set((await Promise.all(strangers)).map(({ status }) => status))).toEqual(new Set([401]))
    await until(() => said('done') !== undefined, 'the agent has called from all of its processes')
    expect([said('itself'), said('session')]).toEqual(['[200, 200]', '[200, 200]'])
  })

  test.each(['observe', 'standard', 'strict'] as const)(
    'an agent that claims to belong to another run is refused at %s too',
    async (level) => {
      const { cage, runId, agentId, said } = await startAgent('call_as_others.py')
      await until(() => said('done') !== undefined, 'the other agent has begun')
      const requests = cage.provider.requests.length
      const { agentId: hostile } = await cage.runtime.supervisor.start({
        ...{ script: program('call_as_another.py'), python, args: [runId, agentId] },
        sandbox: { ...configSchema.parse({}).agent.sandbox, level },
      })
      const lines = () => cage.of('agent.output').filter(({ agent_id }) => agent_id === hostile)
      const texts = () => lines().map(({ data }) => data.text)
      await until(() => texts().includes('done'), 'it has tried')
      expect(texts()).toEqual(['environment 401', 'mark 401', 'session 401', 'orphan 401', 'done'])
      expect(cage.provider.requests).toHaveLength(requests)
    },
  )

  test('the token of a run ends with it, for everybody', async () => {
    const started = await startAgent('call_as_others.py')
    await until(() => started.said('done') !== undefined, 'the agent has begun')
    await started.cage.runtime.supervisor.stop(started.agentId)
    for (const [name, answer] of Object.entries(await answersTo(started))) {
      expect(answer, name).toEqual([401, 'unauthorized'])
    }
  })

  test('neither the environment of an injected agent nor that of a shielded one has a token in an address', async () => {
    for (const provider_keys of ['inject', 'shield'] as const) {
      const { cage, said, token, runId } = await startAgent('call_as_others.py', { provider_keys })
      await until(() => said('done') !== undefined, 'the agent has called')
      expect(said('itself')).toBe('[200, 200]')
      const address = `${cage.url}/gateway/${provider_keys === 'inject' ? `${runId}/` : ''}openai/v1`
      expect(said('address')).toBe(address)
      expect(cage.provider.requests.length).toBeGreaterThan(0)
      for (const { url, headers } of cage.provider.requests) {
        expect(JSON.stringify([url, headers])).not.toContain(token)
        expect(headers.authorization).toBe('Bearer sk-of-the-server')
      }
    }
  })
})

describe('a look', () => {
  test('the process of a connection is looked up once', async () => {
    const { cage, agentId, runId } = await startAgent('call_as_others.py')
    const peers = new Peers(systemClock)
    await peers.tryToLook(Number(new URL(cage.url).port))
    expect(peers.canLook).toBe(true)
    const { pid } = cage.runtime.state.read().agents[agentId]!
    const run = { agentId, pid: pid!, started: runId }
    const connection = { localAddress: '127.0.0.1', localPort: 1, remoteAddress: '127.0.0.1', remotePort: 2 }
    const first = peers.of(connection, run)
    expect(peers.of(connection, run)).toBe(first)
    expect(await first).toBe('foreign')
    expect(peers.of(connection, run)).toBe('foreign')
  })

  test('a connection from another machine belongs to no process', async () => {
    const { cage } = await startAgent('call_as_others.py')
    const peers = new Peers(systemClock)
    await peers.tryToLook(Number(new URL(cage.url).port))
    const connection = { localAddress: '10.0.0.1', localPort: 1, remoteAddress: '203.0.113.7', remotePort: 2 }
    expect(await peers.of(connection, { agentId: toAgentId('lg-1'), pid: 1, started: '0' })).toBe('unknown')
  })

  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['127.0.0.1', '::ffff:127.0.0.1'],
  ])('the process behind a connection to %s that was made to %s is found', async (host, address) => {
    const server = createServer().listen(0, host)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const peers = new Peers(systemClock)
    const ours = host === '127.0.0.1' ? server : createServer().listen(0, '127.0.0.1')
    if (ours !== server) await once(ours, 'listening')
    await peers.tryToLook((ours.address() as AddressInfo).port)
    if (ours !== server) ours.close()
    const client = `import socket, time
s = socket.socket(socket.AF_INET6 if ":" in "${address}" else socket.AF_INET)
s.connect(("${address}", ${port}))
s.sendall(b"!")
time.sleep(600)`
    const child = spawn(python, ['-c', client], { stdio: 'ignore' })
    onTestFinished(() => void child.kill('SIGKILL'))
    const socket = await new Promise<Socket>((found) => {
      server.on('connection', (each: Socket) => each.once('data', () => found(each)))
    })
    onTestFinished(() => void socket.destroy())
    const process = { agentId: toAgentId('lg-1'), pid: child.pid!, started: await processStarted(child.pid!) }
    expect(await peers.of(socket, process)).toBe('own')
    expect(await peers.of(socket, { ...process, pid: 1 })).toBe('foreign')
    expect(await peers.claim(socket, toAgentId('lg-1'), child.pid!)).toEqual(process)
    expect(await peers.claim(socket, toAgentId('lg-1'), globalThis.process.pid)).toBeUndefined()
  })

  test('no process is looked up where the server cannot find its own', () => {
    expect(new Peers(systemClock).of({}, { agentId: toAgentId('lg-1'), pid: 1, started: '0' })).toBe('unknown')
  })
})
