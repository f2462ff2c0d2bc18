/**
 * A provider's key rotated again and again while an agent with the real `openai` client calls fifty times a second. The
 * provider takes the former key until the vault has the new one, and from then on the new one only. The agent calls until
 * it is stopped: on a slow machine a rotation takes longer.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Sqlite from 'better-sqlite3'
import { configSchema } from '../../src/config/schema.ts'
import type { EventOf } from '../../src/core/events.ts'
import { usd } from '../../src/core/money.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { newMasterKey } from '../../src/vault/master-key.ts'
import { openParts } from '../../test/support/built.ts'
import { answer, FakeProvider, sends } from '../../test/support/provider.ts'

const root = resolve(import.meta.dirname, '../..')
const NAME = 'OPENAI_API_KEY'
const ADMIN = { role: 'admin', actor: 'the soak', agentId: null } as const
const REFUSED = sends(401, { 'content-type': 'application/json' }, '{"error":{"message":"Incorrect API key"}}')

export interface RotationSummary {
  /** As the agent counted them. */
  calls: number
  failed: number
  failures: string[]
  /** The agent's pid, at its start and as it reported itself at the end. */
  pids: [number, number]
  /** The keys in the order in which the provider saw each for the first time. */
  order: string[]
  /** Requests that came with a former key after the provider had stopped taking it. */
  late: number
  /** From the answer to the update to the first request with the new key, in ms. */
  newKeyAfterMs: number[]
  /** From the update until the agent reported the new value, in ms. */
  reloadedAfterMs: number[]
  restartsRequired: number
}

export const keyNumber = (number: number): string => `sk-soak-key-number-${String(number).padStart(4, '0')}`

/** The calls go on for about so many seconds. */
export async function rotateUnderLoad(seconds: number, rotations: number): Promise<RotationSummary> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-rotations-'))
  const provider = await FakeProvider.open()
  const runtime = await openParts({
    config: configSchema.parse({
      agent: { python: join(root, '.venv-test/bin/python'), cwd: folder },
      providers: { openai: { base_url: `${provider.url}/v1`, retries: 0 } },
      prices: { penny: { input_per_mtok: 0, output_per_mtok: 1_000 } },
      server: { port: 0 },
      log: { level: 'error', dir: join(folder, 'logs') },
      db: { path: join(folder, 'state.db') },
    }),
    configFile: null,
    environment: { PATH: process.env.PATH ?? '' },
    masterKey: newMasterKey(),
    version: 'soak',
  })
  try {
    return await run(runtime, provider, folder, seconds, rotations)
  } finally {
    await runtime.close('the soak is over')
    await provider.close()
    rmSync(folder, { recursive: true })
  }
}

async function run(
  runtime: RuntimeParts,
  provider: FakeProvider,
  folder: string,
  seconds: number,
  rotations: number,
): Promise<RotationSummary> {
  const { vault, supervisor, state } = runtime
  const { id } = await vault.create({ name: NAME, environment: 'development', value: keyNumber(0) }, ADMIN)
  const taken = new Set([keyNumber(0)])
  const firstSeen = new Map<string, number>()
  const seen = Array.from({ length: rotations + 1 }, () => Promise.withResolvers<void>())
  let late = 0
  provider.does((response, received) => {
    const key = received.headers.authorization?.replace('Bearer ', '') ?? ''
    if (!taken.has(key)) {
      late += 1
      return REFUSED(response)
    }
    if (!firstSeen.has(key)) {
      firstSeen.set(key, performance.now())
      seen[firstSeen.size - 1]?.resolve()
    }
    return answer({ usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } })(response, received)
  })
  const lines: string[] = []
  const reloaded: EventOf<'secret.reloaded'>[] = []
  let restartsRequired = 0
  const begins = Promise.withResolvers<number>()
  state.subscribe((event) => {
    if (event.type === 'secret.reloaded') reloaded.push(event)
    if (event.type === 'secret.reload_failed') restartsRequired += 1
    if (event.type !== 'agent.output') return
    lines.push(event.data.text)
    // Not the pid of the agent: behind walls that is their guard's.
    if (event.data.text.startsWith('begins ')) begins.resolve(Number(event.data.text.slice('begins '.length)))
  })
  // A call may be refused for its key once: none that began before a rotation is open when the next one comes.
  using store = disposable(new Sqlite(join(folder, 'state.db'), { readonly: true }))
  const openSince = store.prepare('SELECT count(*) FROM holds WHERE started_at <= ?').pluck()
  let rotatedAt = ''
  const enough = join(folder, 'enough')
  const script = join(root, 'scripts/soak/call_openai.py')
  const { agentId } = await supervisor.start({ script, args: [enough], limitUsd: usd('1000000') })
  const ended = supervisor.whenEnded(agentId)
  const pid = await Promise.race([begins.promise, ended.then(() => Number.NaN)])
  const updatedAt: number[] = []
  for (let number = 1; number <= rotations; number++) {
    await Promise.race([seen[number - 1]!.promise, ended])
    await sleep((seconds * 1000) / (rotations + 1))
    while (openSince.get(rotatedAt) !== 0) await sleep(20)
    taken.add(keyNumber(number))
    await vault.update(id, keyNumber(number), ADMIN)
    updatedAt.push(performance.now())
    taken.delete(keyNumber(number - 1))
    rotatedAt = new Date().toISOString()
  }
  await Promise.race([seen[rotations]!.promise, ended])
  await sleep((seconds * 1000) / (rotations + 1))
  writeFileSync(enough, '')
  await ended
  const newKeyAfterMs = updatedAt.map((at, index) =>
    Math.round((firstSeen.get(keyNumber(index + 1)) ?? Number.POSITIVE_INFINITY) - at),
  )
  const said = JSON.parse(lines.findLast((line) => line.startsWith('{')) ?? '{"failures":[]}') as {
    calls: number
    failures: string[]
    failed: number
    pid: number
  }
  return {
    calls: said.calls,
    failed: said.failed,
    failures: said.failures,
    pids: [pid, said.pid],
    order: [...firstSeen.keys()],
    late,
    newKeyAfterMs,
    reloadedAfterMs: reloaded.map(({ data }) => data.latency_ms),
    restartsRequired,
  }
}

const disposable = (store: Sqlite.Database) => Object.assign(store, { [Symbol.dispose]: () => void store.close() })
