/**
 * The machine fails, and the program reports it, goes on with what runs, and recovers by itself where it can. In bounded
 * time: nothing here waits for a clock.
 */

import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { untilUnharmedBySigusr1 } from '../support/agents.ts'
import { openParts } from '../support/built.ts'
import { freePort } from '../support/free-port.ts'
import { chatFrames } from '../support/provider.ts'
import { openTestRuntime, until } from '../support/runtime.ts'
import { canMount, expectSound, fillDisk, lockDatabase, newDisk, newFolder, newReadOnlyFolder } from './support.ts'

const codeOf = (reply: { json(): object }) => (reply.json() as { error?: { code?: string } }).error?.code

/** Opens a server and nothing else. */
function open(folder: string, server: object = {}): Promise<RuntimeParts> {
  const config = configSchema.parse({
    server: { port: 0, ...server },
    log: { dir: join(folder, 'logs'), level: 'error' },
    db: { path: join(folder, 'state.db') },
  })
  return openParts({ config, configFile: null, environment: {}, version: '0.0.0-test' })
}

/** A stream of the provider that continues on command. */
function slowStream() {
  const [first = '', ...rest] = chatFrames({ text: 'Hello to you.' }).split(/(?<=\n\n)/)
  const goOn = Promise.withResolvers<void>()
  const does = async (response: import('node:http').ServerResponse) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(first)
    await goOn.promise
    response.end(rest.join(''))
  }
  return { does, goOn: goOn.resolve }
}

describe('a running server whose disk or database fails', () => {
  test.runIf(canMount)(
    'running calls continue, new ones are refused with a reason, and the server recovers when the disk is full',
    async () => {
      const folder = newDisk(16)
      const cage = await openTestRuntime({ folder, faults: /cannot|SQLITE|ENOSPC|full/i })
      const agent = cage.addAgent()
      expect((await agent.chat()).status).toBe(200)
      const stream = slowStream()
      cage.provider.doesOnce(stream.does)
      const { body } = await agent.open({ stream: true })
      await cage.provider.arrived(2)
      const makeRoom = fillDisk(folder)

      await until(async () => (await agent.chat()).status === 503, 'the file has no more room of its own')
      const refused = await agent.chat()
      expect(codeOf(refused)).toBe('database_unusable')
      stream.goOn()
      expect(await body.text()).toContain('[DONE]')
      expect((await cage.get('/api/health')).status).toBe(503)
      expect(agent.balance()).toMatchObject({ held: '0' })

      makeRoom()
      await until(async () => (await agent.chat()).status === 200, 'calls pass again')
      await until(async () => (await cage.get('/api/health')).status === 200, 'what waited is written')
      await expectSound(cage)
    },
  )

  test('running calls continue, new ones are refused with a reason, and the server recovers when another program locks the database', async () => {
    const cage = await openTestRuntime({ folder: newFolder(), faults: /cannot write|locked|BUSY/ })
    const agent = cage.addAgent()
    const stream = slowStream()
    cage.provider.doesOnce(stream.does)
    const { body } = await agent.open({ stream: true })
    await cage.provider.arrived(1)
    const release = await lockDatabase(join(cage.folder, 'state.db'))
    const refused = await agent.chat()
    expect([refused.status, codeOf(refused)]).toEqual([503, 'database_unusable'])
    stream.goOn()
    expect(await body.text()).toContain('[DONE]')
    expect((await cage.get('/api/health')).status).toBe(503)
    await release()
    await until(async () => (await agent.chat()).status === 200, 'calls pass again')
    await until(async () => (await cage.get('/api/health')).status === 200, 'what waited is written')
    await expectSound(cage)
  })
})

test('a clock that goes back an hour ends no session, no call and no circuit, and loses no event', async () => {
  let offsetMs = 0
  const clock = { ...systemClock, now: () => Date.now() + offsetMs }
  const cage = await openTestRuntime({ clock, folder: newFolder() })
  const agent = cage.addAgent()
  const { access_token } = await cage.login()
  const stream = slowStream()
  cage.provider.doesOnce(stream.does)
  const { body } = await agent.open({ stream: true })
  await cage.provider.arrived(1)
  cage.runtime.circuits.open('anthropic', 'test')
  offsetMs = -3_600_000
  stream.goOn()
  expect(await body.text()).toContain('[DONE]')
  expect((await agent.chat()).status).toBe(200)
  expect((await cage.get('/api/snapshot', access_token)).status).toBe(200)
  expect((await agent.message()).status).toBe(503)
  const { seq } = cage.runtime.state.read()
  const stored = cage.runtime.state.findEvents({ after: 0, limit: 1_000 }).map((event) => event.seq)
  expect(stored).toEqual(Array.from({ length: seq }, (_, index) => index + 1))
  await expectSound(cage)
})

describe('a start that cannot succeed is refused with the reason and the file, and leaves nothing behind', () => {
  test('a start is refused when the folder cannot be written', async () => {
    const folder = newReadOnlyFolder()
    await expect(open(folder)).rejects.toMatchObject({ message: expect.stringContaining(folder) })
    const logs = newFolder()
    const config = configSchema.parse({
      server: { port: 0 },
      log: { dir: logs },
      db: { path: join(folder, 'state.db') },
    })
    const started = openParts({ config, configFile: null, environment: {}, version: '0.0.0-test' })
    await expect(started).rejects.toMatchObject({
      code: 'database_unusable',
      message: expect.stringContaining(join(folder, 'state.db')),
    })
  })

  test.each([
    ['is overwritten in its middle', (path: string) => overwrite(path, 4_096, 8_192)],
    ['is cut', (path: string) => truncateSync(path, 10_000)],
    [
      'is something else',
      (path: string) => writeFileSync(path, 'not a database, but long enough to look at'.repeat(50)),
    ],
  ])('a start is refused when the database %s', async (_, damage) => {
    const folder = newFolder()
    await (await open(folder)).close('the test')
    const path = join(folder, 'state.db')
    damage(path)
    const before = readFileSync(path)
    await expect(open(folder)).rejects.toMatchObject({
      code: 'database_unusable',
      message: expect.stringContaining(path),
    })
    expect(readFileSync(path), 'what may be saved is not touched').toEqual(before)
  })

  test('a start is refused when another program has the database for itself', async () => {
    const folder = newFolder()
    await (await open(folder)).close('the test')
    const release = await lockDatabase(join(folder, 'state.db'))
    await expect(open(folder)).rejects.toMatchObject({ code: 'database_unusable' })
    await release()
    await (await open(folder)).close('the test')
  })

  test.each([
    ['127.0.0.1', '[::1]'],
    ['::1', '127.0.0.1'],
  ])('a start is refused when the port is taken on %s only', async (host, free) => {
    const port = await takePort(host)
    const folder = newFolder()
    await expect(open(folder, { port })).rejects.toMatchObject({
      code: 'port_taken',
      message: expect.stringContaining(`${host.includes(':') ? `[${host}]` : host}:${port} is taken`),
    })
    // The other one was given back.
    await expect(fetch(`http://${free}:${port}`)).rejects.toThrow()
    await (await open(folder)).close('the test')
  })

  test.each([
    ['with nothing there', undefined],
    [
      'with the files of a killed server',
      JSON.stringify({ pid: 4_194_305, pid_started: '1', url: '', token: 'ic_old' }),
    ],
  ])('of five servers that start at once on one file, %s, one runs', async (_, leftover) => {
    const folder = newFolder()
    if (leftover !== undefined) writeFileSync(join(folder, 'state.db.server'), leftover)
    const starts = await Promise.allSettled(Array.from({ length: 5 }, () => open(folder)))
    const running = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
    onTestFinished(async () => {
      for (const runtime of running) await runtime.close('the test')
    })
    expect(running).toHaveLength(1)
    const refusals = starts.flatMap((start) => (start.status === 'rejected' ? [start.reason] : []))
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ code: 'already_running', message: expect.stringContaining('is served by') })
    }
  })
})

test('a process that gets SIGUSR1 before and after its gate lives on, with a handler or without', async () => {
  const cage = await openTestRuntime({ folder: newFolder() })
  const script = join(cage.folder, 'forever.sh')
  writeFileSync(script, '#!/bin/sh\necho ready\nwhile :; do sleep 1; done\n', { mode: 0o755 })
  const { agentId } = await cage.runtime.supervisor.start({ script })
  const { pid } = cage.runtime.state.read().agents[agentId]!
  await untilUnharmedBySigusr1(pid!)
  for (let sent = 0; sent < 100; sent++) process.kill(pid!, 'SIGUSR1')
  await until(() => cage.of('agent.output').some(({ data }) => data.text === 'ready'), 'it runs')
  for (let sent = 0; sent < 100; sent++) process.kill(pid!, 'SIGUSR1')
  expect(cage.runtime.state.read().agents[agentId]).toMatchObject({ state: 'running', pid, restarts: 0 })
  await cage.runtime.supervisor.stop(agentId)
  expect(cage.runtime.state.read().agents[agentId]).toMatchObject({ state: 'stopped', signal: 'SIGINT' })
})

function overwrite(path: string, from: number, bytes: number): void {
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(bytes, 0xa5), 0, bytes, from)
  closeSync(file)
}

/** A port that another program has, on one address only. */
async function takePort(host: string): Promise<number> {
  const port = await freePort()
  const server = createServer().listen({ host, port, ipv6Only: true })
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return port
}
