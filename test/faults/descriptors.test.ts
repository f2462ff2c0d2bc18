/** A server that may have few descriptors, and more connections than that. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { serveBuilt } from '../support/every-route.ts'
import { send, until } from '../support/runtime.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const MAX_DESCRIPTORS = 1024

/** Crashes on command, and leaves a mark each time it begins. */
const AGENT = `
import pathlib, time
with open("begun", "a") as marks: marks.write("x")
while not pathlib.Path("crash").exists(): time.sleep(0.05)
pathlib.Path("crash").unlink()
raise SystemExit(1)
`

test('a thousand idle connections to a server with 1,024 descriptors end nothing: agents restart, calls are answered', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-descriptors-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'agent.py'), AGENT)
  const limited = ['sh', '-c', `ulimit -n ${MAX_DESCRIPTORS}; exec "$0" "$@"`, process.execPath, BIN] as const
  const server = await serveBuilt(limited, folder)
  const ask = (method: 'GET' | 'POST', path: string, body?: unknown) => {
    const headers = { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' }
    return send(server.url + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
  }
  writeFileSync(join(folder, 'begun'), '')
  const begun = () => readFileSync(join(folder, 'begun'), 'utf8').length
  await ask('POST', '/api/agents', { script: join(folder, 'agent.py'), sandbox: { level: 'off' } })
  await until(() => begun() === 1, 'the agent runs')

  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let number = 0; number < 1_000; number++) {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1').on('error', () => undefined)
    sockets.push(socket)
    await once(socket, 'connect')
  }
  writeFileSync(join(folder, 'crash'), '')
  await until(() => begun() === 2, 'the agent runs again')
  const second = await ask('POST', '/api/agents', {
    script: join(folder, 'agent.py'),
    name: 'second',
    sandbox: { level: 'off' },
  })
  expect(second.status).toBe(201)
  expect((await ask('GET', '/api/health')).status).toBe(200)
  const { agents } = (await ask('GET', '/api/agents')).json() as { agents: { state: string }[] }
  expect(agents.map(({ state }) => state)).toEqual(['running', 'running'])
  // Those who never asked anything made room.
  await until(
    () => sockets.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length > 500,
    'room is made',
  )
})
