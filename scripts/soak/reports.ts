/**
 * node scripts/soak/reports.ts [calls, 1,000,000 by default]: needs a build. A ledger with so many calls, and as many
 * events, of one agent; while each report of it is made, a calm client asks for the server's health all the time. Prints
 * how long each took and how long that client waited. Exits 1 when it waited longer than MAX_WAIT_MS.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { openStore } from '../../src/db/store.ts'
import { type Served, serve } from './serve.ts'

const count = Number(process.argv[2] ?? 1_000_000)
/** The program's promises. */
const MAX_WAIT_MS = 50
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-reports-'))
const path = join(folder, 'state.db')
const START = Date.UTC(2026, 0, 1)

function fill(agentId: string): void {
  const { orm, transaction, close } = openStore({ path })
  const call = orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, price, usage, status, started_at, ended_at)
     VALUES (?, ?, 'llm', 'openai', 'gpt-4o-mini', 'charged', 900000, 450000, '{"input":1}', '{"input_tokens":100,"output_tokens":20}', 200, ?, ?)`,
  )
  const event = orm.$client.prepare(
    `INSERT INTO events (seq, at, agent_id, level, type, message, data) VALUES (?, ?, ?, 'INFO', ?, 'a call ended', ?)`,
  )
  const { seq } = orm.$client.prepare('SELECT max(seq) AS seq FROM events').get() as { seq: number }
  transaction(() => {
    for (let number = 0; number < count; number++) {
      const at = new Date(START + number * 10).toISOString()
      const id = `call-${(START + number * 10).toString(16)}-${number.toString(16).padStart(8, '0')}`
      call.run(agentId, id, at, at)
      const data = JSON.stringify({ call_id: id, text: 'x'.repeat(200), latency_ms: 12, redactions: 0 })
      event.run(seq + 1 + number, at, agentId, number % 2 ? 'agent.output' : 'unit.completed', data)
    }
    orm.$client
      .prepare("UPDATE meta SET value = json_set(value, '$.snapshot.seq', ?) WHERE key = 'snapshot'")
      .run(seq + count)
  })
  close()
}

/** Asks for the health until `signal` fires; returns every wait, in ms. */
async function healthWaits(url: string, signal: AbortSignal): Promise<number[]> {
  const waits: number[] = []
  while (!signal.aborted) {
    const began = performance.now()
    const { body } = await request(`${url}/api/health`)
    await body.dump()
    waits.push(performance.now() - began)
    await sleep(2)
  }
  return waits.sort((a, b) => a - b)
}

async function measure(name: string, url: string, work: () => Promise<string>): Promise<number> {
  const calm = new AbortController()
  const waiting = healthWaits(url, calm.signal)
  await sleep(200)
  const began = performance.now()
  const what = await work()
  const tookMs = performance.now() - began
  await sleep(50)
  calm.abort()
  const waits = await waiting
  const [p99, worst] = [waits[Math.floor(waits.length * 0.99)]!, waits.at(-1)!]
  const figures = `${(tookMs / 1000).toFixed(1)} s, ${what}; health p99 ${p99.toFixed(1)} ms, longest ${worst.toFixed(1)} ms`
  console.log(`${name.padEnd(28)} ${figures}`)
  return worst
}

try {
  const first = await serve(folder)
  const ask = async (served: Served, way: string, body?: object): Promise<string> => {
    const headers = { authorization: `Bearer ${served.token}`, 'content-type': 'application/json' }
    const method = body ? 'POST' : 'GET'
    const reply = await request(served.url + way, {
      method,
      headers,
      body: body && JSON.stringify(body),
      bodyTimeout: 0,
      headersTimeout: 0,
    })
    return reply.body.text()
  }
  const { agent_id: agentId } = JSON.parse(await ask(first, '/api/tokens', { name: 'soak', budget_usd: '9000000' }))
  await first.stop()
  const began = performance.now()
  fill(agentId)
  console.log(`${count} calls and events written in ${((performance.now() - began) / 1000).toFixed(0)} s`)

  const started = performance.now()
  const served = await serve(folder)
  console.log(`started in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const look = (name: string, way: string) =>
    measure(name, served.url, async () => `${((await ask(served, way)).length / 1e6).toFixed(1)} MB`)
  const agent = `/api/agents/${agentId}`
  const waits = [
    await measure('nothing', served.url, async () => `${await sleep(2_000, 'calm')}`),
    await look('first look at the agent', agent),
    await look('CSV', `${agent}/report?format=csv`),
    await look('HTML', `${agent}/report?format=html`),
    await look('JSON', `${agent}/report`),
    await look('all agents', '/api/report'),
    await look('calls of a rare kind', `${agent}/calls?state=unresolved`),
    await look('events of a rare type', '/api/events?type=vault.exposed'),
    await look('events of a rare level', `/api/events?level=CRIT&agent_id=${agentId}`),
  ]
  await served.stop()
  if (Math.max(...waits) > MAX_WAIT_MS) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
