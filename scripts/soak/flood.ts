/**
 * node scripts/soak/flood.ts [seconds, 600 by default]: needs a build. Who has no token asks and guesses as fast as the
 * server answers. Prints how the disk, the events and the audit grew, and exits 1 when there is too much of any, when an
 * event from before the flood is gone, or when the audit is not as it was written.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { serve } from './serve.ts'

const seconds = Number(process.argv[2] ?? 600)
const AT_ONCE = 16
const MAX_GROWTH_BYTES = 10 * 1024 * 1024
/** Sixty, one a minute, and sums in intervals that double. */
const MAX_ROWS = 60 + Math.ceil(seconds / 60) + 12

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-flood-'))
const connections = new Agent({ connections: AT_ONCE })

function bytesBelow(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

/** Every door at which something is proved, and one that asks for a token. */
const guesses = (url: string): (() => Promise<number>)[] => {
  const ask = async (method: 'GET' | 'POST', path: string, body?: object) => {
    const headers = { authorization: `Bearer ic_${'x'.repeat(43)}`, 'content-type': 'application/json' }
    const sent = body && JSON.stringify(body)
    const reply = await request(url + path, { method, headers, body: sent, dispatcher: connections })
    await reply.body.dump()
    return reply.statusCode
  }
  return [
    () => ask('GET', '/api/agents'),
    () => ask('GET', '/metrics'),
    () => ask('POST', '/api/auth/refresh', { refresh_token: 'x' }),
    () => ask('POST', '/api/auth/exchange', { code: 'x' }),
    () => ask('POST', '/api/auth/login', { username: 'root', password: 'x' }),
    () => ask('GET', '/gateway/openai/v1/models'),
    () => ask('POST', '/api/run/events', { message: 'x' }),
    () => ask('GET', `/made/up/${Math.random()}`),
  ]
}

try {
  const { url, token, stop } = await serve(folder)
  const look = async (path: string) => {
    const { body } = await request(url + path, { headers: { authorization: `Bearer ${token}` } })
    return (await body.json()) as Record<string, unknown>
  }
  const rowsOf = (audit: Record<string, unknown>) => audit.rows as number
  const first = ((await look('/api/events?limit=1000')).events as { seq: number }[]).at(-1)!
  const before = { bytes: bytesBelow(folder), rows: rowsOf(await look('/api/audit/verify')) }
  const statuses = new Map<number, number>()
  const end = performance.now() + seconds * 1000
  const ways = guesses(url)
  const flood = async (start: number) => {
    for (let turn = start; performance.now() < end; turn++) {
      const status = await ways[turn % ways.length]!()
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, start) => flood(start)))

  const audit = (await look('/api/audit/verify')) as { ok: boolean; rows: number }
  const grown = { bytes: bytesBelow(folder) - before.bytes, rows: audit.rows - before.rows }
  const kept = ((await look('/api/events?after=0&limit=1')).events as { seq: number }[])[0]?.seq === first.seq
  await stop()
  const sum = [...statuses.values()].reduce((total, count) => total + count, 0)
  const answered = [...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')
  console.log(`${sum} requests in ${seconds} s: ${answered}`)
  console.log(
    `disk +${(grown.bytes / 1024).toFixed(0)} KiB, audit +${grown.rows} rows, ${audit.ok ? 'sound' : 'BROKEN'}`,
  )
  console.log(kept ? 'the first event is still there' : 'the first event is GONE')
  const isTooMuch = grown.bytes > MAX_GROWTH_BYTES || grown.rows > MAX_ROWS
  if (isTooMuch || !audit.ok || !kept) process.exitCode = 1
} finally {
  await connections.close()
  rmSync(folder, { recursive: true, force: true })
}
