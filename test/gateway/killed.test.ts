/** A server that is killed in the middle of its calls: nothing that a provider saw is without a row. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { toAgentId } from '../../src/core/ids.ts'
import { dollars } from '../support/money.ts'
import { answer, chatFrames, FakeProvider, streams } from '../support/provider.ts'
import { openTestRuntime, send } from '../support/runtime.ts'

const LIMIT = '1'
const CALLS = 50
const AGENT = toAgentId('w-0badcafe')

async function startServer(folder: string, provider: FakeProvider): Promise<{ server: ChildProcess; url: string }> {
  const script = join(import.meta.dirname, '..', 'support', 'serve.ts')
  const server = spawn(process.execPath, [script, folder, provider.url, LIMIT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void server.kill('SIGKILL'))
  const [url] = await Promise.race([once(createInterface(server.stdout!), 'line'), once(server, 'exit')])
  if (typeof url !== 'string') throw new Error('the server did not start')
  return { server, url }
}

/** From before the first answer to after the last one. */
test.each([
  { moment: 'when the first call arrives', seen: 1, afterMs: 0 },
  { moment: 'when some have been answered', seen: 20, afterMs: 5 },
  { moment: 'when most have been answered', seen: 45, afterMs: 20 },
  { moment: 'in the middle of the streams', seen: 50, afterMs: 40 },
])(
  'a server killed $moment has a row for every call the provider received, and holds the calls without an answer',
  async ({ seen, afterMs }) => {
    const folder = mkdtempSync(join(tmpdir(), 'iron-cage-killed-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const provider = await FakeProvider.open()
    onTestFinished(() => provider.close())
    // Every third answer is a stream that goes on; the others take their time.
    provider.does(async (response, received) => {
      const { messages, stream } = JSON.parse(received.body) as { messages: { content: string }[]; stream?: boolean }
      const number = Number(messages[0]!.content)
      await sleep(number % 10)
      return stream
        ? streams(chatFrames({ text: Array(8).fill('word ') }).split(/(?<=\n\n)/), 'hangs')(response)
        : answer({ usage: { prompt_tokens: 0, completion_tokens: 4 } })(response, received)
    })
    const { server, url } = await startServer(folder, provider)
    const ends = Promise.allSettled(
      Array.from({ length: CALLS }, (_, number) => {
        const messages = [{ role: 'user', content: String(number) }]
        const body = JSON.stringify({ model: 'penny', max_tokens: 8, stream: number % 3 === 0, messages })
        const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-1' }
        return send(url, { method: 'POST', headers, body })
      }),
    )
    await provider.arrived(seen)
    await sleep(afterMs)
    server.kill('SIGKILL')
    await once(server, 'exit')
    const answered = (await ends).filter((end) => end.status === 'fulfilled' && end.value.status === 200).length

    const restarted = await openTestRuntime({ folder })
    const rows = restarted.rows()
    const count = (state: string) => rows.filter((row) => row.state === state).length
    expect(count('held')).toBe(0)
    expect(rows.length).toBeGreaterThanOrEqual(provider.requests.length)
    expect(count('charged')).toBeGreaterThanOrEqual(answered)
    expect(count('charged') + count('unresolved')).toBe(rows.length)
    expect(rows.filter(({ state }) => state === 'unresolved').every(({ code }) => code === 'server_ended')).toBe(true)
    // Unanswered calls stay held, and answered ones are spent: it cannot be spent again.
    const spent = rows.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
    const held = count('unresolved') * dollars('0.008')
    expect(restarted.runtime.ledger.accounts.balance(AGENT)).toEqual({ limit: dollars(LIMIT), spent, held })
    // The events report the same money as the rows.
    expect(restarted.runtime.state.read().agents[AGENT]?.spent_usd).toBe(String(spent / 1e9))
    expect(restarted.database.pragma('integrity_check', { simple: true })).toBe('ok')
  },
)
