/** The live view: a snapshot, then every event, to everyone who keeps up. */

import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/core/clock.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import type { AgentId } from '../../src/core/ids.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import type { Snapshot } from '../../src/state/snapshot.ts'
import { openTestRuntime, type TestRuntime, until } from '../support/runtime.ts'

type Frame =
  | { type: 'snapshot'; seq: number; server_time: string; data: Snapshot }
  | { type: 'events'; server_time: string; events: RuntimeEvent[] }

/** A dashboard: holds the state as the browser does. */
class Viewer {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  readonly closed: Promise<number>
  state: Snapshot | undefined

  constructor(cage: TestRuntime, ticket: string, after?: number) {
    this.socket = new WebSocket(
      `${cage.url.replace('http', 'ws')}/ws?ticket=${ticket}${after === undefined ? '' : `&after=${after}`}`,
    )
    this.socket.on('error', () => undefined)
    this.socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Frame
      this.frames.push(frame)
      if (frame.type === 'snapshot') this.state = frame.data
      else if (this.state) this.state = frame.events.reduce(applyEvent, this.state)
    })
    this.closed = new Promise((resolve) => this.socket.once('close', resolve))
    onTestFinished(() => this.socket.terminate())
  }

  static async open(cage: TestRuntime, { token, after }: { token?: string; after?: number } = {}): Promise<Viewer> {
    const access = token ?? (await cage.login()).access_token
    const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, access)).json() as { ticket: string }
    const viewer = new Viewer(cage, ticket, after)
    await once(viewer.socket, 'message')
    return viewer
  }

  get events(): RuntimeEvent[] {
    return this.frames.flatMap((frame) => (frame.type === 'events' ? frame.events : []))
  }

  /** Resolves when it shows the state of the server. */
  async upToDate(cage: TestRuntime): Promise<void> {
    await until(() => this.state?.seq === cage.runtime.state.read().seq, 'the viewer is up to date')
  }
}

const said = (agentId: AgentId, text: string) =>
  ({
    type: 'agent.output',
    level: 'INFO',
    agent_id: agentId,
    message: 'said',
    data: { stream: 'stdout', text },
  }) as const

const say = (cage: TestRuntime, agentId: AgentId, text: string) => cage.runtime.state.record(said(agentId, text))

describe('a viewer', () => {
  test("a viewer receives the snapshot and then every event once and in order, and matches the server's state", async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const viewer = await Viewer.open(cage)
    const [first] = viewer.frames
    expect(first).toMatchObject({ type: 'snapshot', seq: first?.type === 'snapshot' && first.data.seq })
    for (let call = 0; call < 5; call++) await agent.chat()
    await viewer.upToDate(cage)
    const before = viewer.frames.length
    for (let line = 0; line < 50; line++) say(cage, agent.id, `line ${line}`)
    await viewer.upToDate(cage)
    const seqs = viewer.events.map(({ seq }) => seq)
    expect(seqs).toEqual(Array.from(seqs, (_, index) => (first?.type === 'snapshot' ? first.seq : 0) + 1 + index))
    expect(viewer.state).toEqual(cage.runtime.state.read())
    expect(viewer.frames.filter(({ type }) => type === 'snapshot')).toHaveLength(1)
    // Fifty lines at once are not fifty frames.
    expect(viewer.frames.length - before).toBeLessThan(20)
  })

  test('each of forty viewers that connect under load gets every event once and in order', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const { access_token: token } = await cage.login()
    const talking = setInterval(() => say(cage, agent.id, 'still talking'), 2)
    onTestFinished(() => clearInterval(talking))
    const viewers: Viewer[] = []
    while (viewers.length < 40) viewers.push(await Viewer.open(cage, { token }))
    clearInterval(talking)
    for (const viewer of viewers) {
      await viewer.upToDate(cage)
      expect(viewer.state).toEqual(cage.runtime.state.read())
      const [first] = viewer.frames
      const begin = first?.type === 'snapshot' ? first.seq : Number.NaN
      expect(viewer.events.map(({ seq }) => seq)).toEqual(viewer.events.map((_, index) => begin + 1 + index))
    }
  })

  test('a viewer that connects between a commit and its listeners gets every event once and in order', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const { access_token: token } = await cage.login()
    let isTalking = true
    const talk = async () => {
      while (isTalking) await cage.runtime.state.recordBatched(said(agent.id, 'in each turn'))
    }
    const talked = talk()
    const viewers = await Promise.all(Array.from({ length: 20 }, () => Viewer.open(cage, { token })))
    isTalking = false
    await talked
    for (const viewer of viewers) {
      await viewer.upToDate(cage)
      const [first] = viewer.frames
      const after = first?.type === 'snapshot' ? first.seq : 0
      const seqs = viewer.events.map(({ seq }) => seq)
      expect(seqs).toEqual(Array.from(seqs, (_, index) => after + 1 + index))
    }
  })

  test('a viewer that comes back gets the events it missed, and nothing twice', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const seen = cage.runtime.state.read().seq
    for (let line = 0; line < 30; line++) say(cage, agent.id, `line ${line}`)
    const { access_token } = await cage.login()
    const now = cage.runtime.state.read().seq
    const viewer = await Viewer.open(cage, { token: access_token, after: seen })
    expect(viewer.frames[0]?.type).toBe('events')
    expect(viewer.events.map(({ seq }) => seq)).toEqual(
      Array.from({ length: now - seen }, (_, index) => seen + 1 + index),
    )
  })

  test.each([
    ['was away for too long', 1],
    ['knows of another database', 9_999_999],
    ['does not know', -1],
    ['sends nonsense', Number.NaN],
    ['sends half a number', 1.5],
  ])('a viewer that %s gets a snapshot', async (_name, after) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    for (let line = 0; line < 300; line++) say(cage, agent.id, `line ${line}`)
    const viewer = await Viewer.open(cage, { after })
    expect(viewer.frames[0]).toMatchObject({ type: 'snapshot', seq: cage.runtime.state.read().seq })
  })

  test('the end of a session closes its own sockets and no others', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const [leaving, staying] = [await Viewer.open(cage, { token: access_token }), await Viewer.open(cage)]
    expect((await cage.post('/api/auth/logout', {}, access_token)).status).toBe(204)
    expect(await leaving.closed).toBe(4401)
    expect((await cage.get('/api/auth/me', access_token)).status).toBe(401)
    await staying.upToDate(cage)
    expect(staying.socket.readyState).toBe(WebSocket.OPEN)
    expect(cage.runtime.viewers()).toBe(1)
  })

  test('a viewer with a token loses its socket when that is revoked', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const created = await cage.post('/api/tokens', { name: 'a screen', role: 'viewer' }, access_token)
    const { id, token } = created.json() as { id: string; token: string }
    const viewer = await Viewer.open(cage, { token })
    const revoked = await fetch(`${cage.url}/api/tokens/${id}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${access_token}` },
    })
    expect(revoked.status).toBe(204)
    expect(await viewer.closed).toBe(4401)
  })

  test.each([
    ['one word', 'hello', 1008],
    ['64 KB', 'a'.repeat(65_536), 1009],
  ])('a viewer that sends %s is disconnected', async (_name, text, code) => {
    const cage = await openTestRuntime()
    const viewer = await Viewer.open(cage)
    viewer.socket.send(text)
    expect([code, 1006]).toContain(await viewer.closed)
    await until(() => cage.runtime.viewers() === 0, 'nobody watches')
  })

  test('a viewer is notified when the server stops', async () => {
    const cage = await openTestRuntime()
    const viewer = await Viewer.open(cage)
    await cage.close()
    expect(await viewer.closed).toBe(1001)
    expect(viewer.state?.server).toBeNull()
  })
})

describe('a viewer that does not read', () => {
  let ahead = 0
  /** Stands still while a flood is written, however long that takes. */
  const clock = { ...systemClock, monotonic: () => 1_000 + ahead }

  /** Records 64 KB at a time until the server buffers more than a megabyte for a viewer that does not read. */
  async function flood(cage: TestRuntime, agentId: AgentId, reader: Viewer, megabytes: number): Promise<void> {
    for (let said = 0; said < megabytes * 16; said += 8) {
      for (let line = 0; line < 8; line++) say(cage, agentId, 'x'.repeat(65_536))
      await reader.upToDate(cage)
    }
  }

  test('a viewer that does not read is dropped after ten seconds, and everyone else gets everything', async () => {
    const cage = await openTestRuntime({ clock })
    const agent = cage.addAgent()
    const [stuck, reader] = [await Viewer.open(cage), await Viewer.open(cage)]
    stuck.socket.pause()
    await flood(cage, agent.id, reader, 20)
    expect(cage.runtime.viewers()).toBe(2)
    ahead += 10_001
    // Nothing more happens, and it is seen all the same.
    await until(() => cage.runtime.viewers() === 1, 'the stuck viewer is dropped')
    say(cage, agent.id, 'the last word')
    await reader.upToDate(cage)
    const seqs = reader.events.map(({ seq }) => seq)
    expect(seqs).toEqual(Array.from(seqs, (_, index) => seqs[0]! + index))
    expect(reader.frames.filter(({ type }) => type === 'snapshot')).toHaveLength(1)
  })

  test('a viewer that does not read for a while gets a new snapshot when it has caught up, though nothing more happens', async () => {
    const cage = await openTestRuntime({ clock })
    const agent = cage.addAgent()
    const [slow, reader] = [await Viewer.open(cage), await Viewer.open(cage)]
    slow.socket.pause()
    await flood(cage, agent.id, reader, 20)
    slow.socket.resume()
    await slow.upToDate(cage)
    expect(slow.frames.filter(({ type }) => type === 'snapshot')).toHaveLength(2)
    expect(slow.state).toEqual(cage.runtime.state.read())
  })
})
