/** The built program with a provider of each dialect behind it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PRICES } from './exchange.ts'

const PROGRAM = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')

/** The dialect of each provider: names of their own, since the cage knows the addresses of vendors by theirs. */
const SPEECH = { chat: 'openai', messages: 'anthropic', gemini: 'google', llama: 'ollama', command: 'cohere' }

const MTOK = 1_000_000
const usdPerMtok = (nanos: number): number => (nanos * MTOK) / 1e9

function configOf(provider: string): string {
  const price = {
    input_per_mtok: usdPerMtok(PRICES.input),
    cached_input_per_mtok: usdPerMtok(PRICES.cached),
    output_per_mtok: usdPerMtok(PRICES.output),
    context_window: 200_000,
  }
  const providers = Object.entries(SPEECH).map(([name, dialect]) => {
    const base_url = dialect === 'openai' ? `${provider}/v1` : provider
    return [name, { dialect, base_url, retries: 0, breaker: { failures: 1_000 } }]
  })
  const prices = Object.keys(SPEECH).map((name) => [`${name}/*`, price])
  return JSON.stringify({ providers: Object.fromEntries(providers), prices: Object.fromEntries(prices) })
}

export interface OracleCage {
  url: string
  /** Of a client with money enough. */
  token: string
  /** The charges of calls, in nanodollars by call id. */
  charges(): Promise<Map<string, number>>
  close(): Promise<void>
}

/** `program`: another build, to be compared. (Default: this one.) */
export async function openCage(provider: string, program = PROGRAM): Promise<OracleCage> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-oracle-'))
  writeFileSync(join(folder, 'iron-cage.yaml'), configOf(provider))
  const env = { PATH: process.env.PATH, HOME: folder }
  const child = spawn(process.execPath, [program, 'serve', '--port', '0'], {
    cwd: folder,
    env,
    stdio: 'ignore',
  })
  const { url, token: admin } = await serverFile(child, join(folder, 'iron_state.db.server'))
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${admin}`, ...(body && { 'content-type': 'application/json' }) }
    const reply = await fetch(`${url}${path}`, { method, headers, body: body ? JSON.stringify(body) : null })
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`)
    return (await reply.json().catch(() => ({}))) as never
  }
  for (const name of Object.keys(SPEECH)) {
    await ask('POST', `/api/models/${encodeURIComponent(`${name}/oracle`)}/trust`)
  }
  const client: { token: string; agent_id: string } = await ask('POST', '/api/tokens', {
    name: 'oracle',
    role: 'agent',
    budget_usd: '1000',
  })
  return {
    url,
    token: client.token,
    charges: () => chargesOf((before) => ask('GET', `/api/agents/${client.agent_id}/calls?limit=1000${before}`)),
    close: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The last thousand calls; older ones were read before. */
async function chargesOf(
  read: (before: string) => Promise<{ calls: { id: string; cost_usd: string | null }[] }>,
): Promise<Map<string, number>> {
  const { calls } = await read('')
  return new Map(calls.map(({ id, cost_usd }) => [id, Math.round(Number(cost_usd) * 1e9)]))
}

async function serverFile(child: ChildProcess, path: string): Promise<{ url: string; token: string }> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    try {
      const found = JSON.parse(readFileSync(path, 'utf8')) as { url?: string; token: string }
      if (found.url) return { url: found.url.replace('localhost', '127.0.0.1'), token: found.token }
    } catch {
      // It is not written yet.
    }
    await sleep(20)
  }
}
