/**
 * The booth: four promises, kept in front of the reader. A second server of this program, on a separate database in a
 * temporary folder and with a simulated provider, is called, killed, started again and tampered with. Every figure is
 * measured; nothing touches the database of the server that shows it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { Clock } from '../core/clock.ts'
import { type BoothProvider, openBoothProvider } from './provider.ts'
import { BOOTH, type BoothServer, databaseIn, openBoothServer } from './server.ts'
import type { BoothStep } from './steps.ts'

/** Calls at the same moment. */
const CALLS = 200
/** Ten calls of a tenth of a cent. */
const LIMIT_USD = '0.01'
const LIMIT = 0.01
const CALL_COST = 0.001
const CHAT = { model: BOOTH, max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] }

/** Yields each finding as it is made. Throws Error when a part cannot run. */
export async function* runBooth(clock: Clock): AsyncGenerator<BoothStep> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-booth-'))
  const provider = await openBoothProvider(clock)
  let server: BoothServer | undefined
  try {
    server = await openBoothServer(folder, provider.url, clock)
    const made = await server.ask<{ token: string; agent_id: string }>('POST', '/api/tokens', {
      name: 'booth',
      budget_usd: LIMIT_USD,
    })
    yield await lastCent(server, made.token, clock)
    yield await naiveCounter(provider)
    const streaming = await server.ask<{ token: string }>('POST', '/api/tokens', { name: 'stream', budget_usd: '1' })
    yield* redactedStream(server, streaming.token, provider)
    const before = await spentOf(server, made.agent_id)
    const { pid } = server
    await server.kill()
    server = await openBoothServer(folder, provider.url, clock)
    const after = await spentOf(server, made.agent_id)
    yield { step: 'killed', pid, before_usd: before, after_usd: after, new_pid: server.pid }
    yield await flippedByte(server, folder, provider.url, clock)
  } finally {
    await server?.kill()
    provider.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function lastCent(server: BoothServer, token: string, clock: Clock): Promise<BoothStep> {
  const startedAt = clock.monotonic()
  const statuses = await Promise.all(Array.from({ length: CALLS }, () => chat(gatewayOf(server), token)))
  const { agents } = await server.ask<{ agents: { name: string; spent_usd: string }[] }>('GET', '/api/agents')
  return {
    step: 'last_cent',
    calls: CALLS,
    limit_usd: LIMIT_USD,
    answered: statuses.filter((status) => status === 200).length,
    spent_usd: agents.find(({ name }) => name === 'booth')!.spent_usd,
    took_ms: Math.round(clock.monotonic() - startedAt),
  }
}

/** What most code does: look at the sum, call, then add. */
async function naiveCounter(provider: BoothProvider): Promise<BoothStep> {
  let spent = 0
  const before = provider.answered()
  const call = async () => {
    if (spent + CALL_COST > LIMIT) return
    await chat(provider.url, 'none')
    spent += CALL_COST
  }
  await Promise.all(Array.from({ length: CALLS }, call))
  const answered = provider.answered() - before
  return { step: 'naive', calls: CALLS, limit_usd: LIMIT_USD, answered, spent_usd: spent.toFixed(3) }
}

async function chat(baseUrl: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(`${baseUrl}/chat/completions`, { method: 'POST', headers, body: JSON.stringify(CHAT) })
  await response.arrayBuffer()
  return response.status
}

async function* redactedStream(
  server: BoothServer,
  token: string,
  { pieces }: BoothProvider,
): AsyncGenerator<BoothStep> {
  const response = await fetch(`${gatewayOf(server)}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...CHAT, max_tokens: 50, stream: true }),
  })
  yield { step: 'sent', pieces: [...pieces] }
  const decoder = new TextDecoder()
  let unread = ''
  for await (const chunk of response.body!) {
    const lines = (unread + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n\n')
    unread = lines.pop()!
    for (const line of lines) {
      const piece = contentIn(line)
      if (piece) yield { step: 'received', piece }
    }
  }
}

function contentIn(frame: string): string {
  if (!frame.startsWith('data: {')) return ''
  const { choices } = JSON.parse(frame.slice('data: '.length)) as { choices: { delta?: { content?: string } }[] }
  return choices[0]?.delta?.content ?? ''
}

const spentOf = async (server: BoothServer, agentId: string): Promise<string> =>
  (await server.ask<{ agent: { spent_usd: string } }>('GET', `/api/agents/${agentId}`)).agent.spent_usd

/** Changes one bit of the audit in the file of the killed server, and asks another server about it. */
async function flippedByte(server: BoothServer, folder: string, providerUrl: string, clock: Clock): Promise<BoothStep> {
  await server.kill()
  const path = databaseIn(folder)
  const whole = new Sqlite(path)
  whole.pragma('wal_checkpoint(TRUNCATE)')
  const row = whole.prepare('SELECT * FROM audit ORDER BY seq LIMIT 1 OFFSET 1').get() as Record<string, string>
  whole.close()
  // SQLite stores the columns of a row next to each other.
  const bytes = readFileSync(path)
  const at = bytes.indexOf(`${row.at}${row.role}${row.actor}${row.action}`) + `${row.at}${row.role}`.length
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
  const [was, is] = [row.actor!, String.fromCharCode(bytes[at]!) + row.actor!.slice(1)]
  const other = await openBoothServer(folder, providerUrl, clock)
  try {
    const verdict = await other.ask<{ ok: boolean; row?: number | null; problem?: string }>('GET', '/api/audit/verify')
    return {
      step: 'flipped',
      row: Number(row.seq),
      was,
      is,
      found_row: verdict.row ?? null,
      verdict: verdict.ok ? 'chain intact' : (verdict.problem ?? ''),
    }
  } finally {
    await other.kill()
  }
}

/** Where clients send their calls. */
const gatewayOf = ({ url }: BoothServer): string => `${url}/gateway/${BOOTH}/v1`
