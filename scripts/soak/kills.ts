/**
 * Kills the server with SIGKILL at random moments under fifty concurrent calls and starts it again on the same
 * database: the provider's calls and the ledger's rows must match one to one every time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer, chatFrames, FakeProvider, streams } from '../../test/support/provider.ts'
import { Cage, NANOS_PER_TOKEN, type Row, tokensAsked } from './cage.ts'

const CALLS = 50
/** How long the provider is waited for, in ms: a slow machine may not get so many calls to it. */
const ARRIVES_WITHIN_MS = 2_000
/** Up to so long the provider thinks, in ms. */
const THINKS_MS = 120

export interface KillSummary {
  kills: number
  /** Requests the provider saw. */
  seen: number
  charged: number
  unresolved: number
  /** Calls whose row was written, but whose request never reached the provider before the kill. */
  unsent: number
  /** What did not match, in words; empty when all is well. */
  faults: string[]
}

/** `onRound` is called after each kill. */
export async function killRounds(
  rounds: number,
  onRound: (summary: KillSummary) => void = () => {},
): Promise<KillSummary> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-kills-'))
  const provider = await FakeProvider.open()
  // Every third answer is a stream; all take their time.
  provider.does(async (response, received) => {
    const tokens = tokensAsked(received.body)
    await sleep(Math.random() * THINKS_MS)
    const usage = { prompt_tokens: 1, completion_tokens: tokens }
    const text = Array<string>(10).fill('word ')
    if (!isStream(tokens)) return answer({ usage })(response, received)
    return streams(chatFrames({ text, usage }).split(/(?<=\n\n)/))(response)
  })
  const cage = new Cage(folder, provider)
  const summary: KillSummary = { kills: 0, seen: 0, charged: 0, unresolved: 0, unsent: 0, faults: [] }
  try {
    await cage.start()
    while (summary.kills < rounds) {
      const answered = await killOnce(cage, provider, summary.kills * CALLS + 1)
      summary.kills += 1
      await cage.start()
      look(cage.rows(), provider, answered, summary)
      await lookAtBalance(cage, summary)
      onRound(summary)
    }
    return summary
  } finally {
    await cage.close()
    await provider.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const isStream = (tokens: number): boolean => tokens % 3 === 0

/**
 * Starts fifty calls and kills the server when a random number of them has reached the provider, and a little later: from
 * before the first one to after the last answer. Returns the tokens of those that got their whole answer.
 */
async function killOnce(cage: Cage, provider: FakeProvider, first: number): Promise<number[]> {
  const arrivals = provider.requests.length + Math.floor(Math.random() * (CALLS + 1))
  const calls = Array.from({ length: CALLS }, async (_, number) => {
    const tokens = first + number
    const { status, text } = await cage.call(tokens, { stream: isStream(tokens) })
    const isWhole = status === 200 && (!isStream(tokens) || text.endsWith('data: [DONE]\n\n'))
    return isWhole ? tokens : undefined
  })
  const ends = Promise.allSettled(calls)
  await Promise.race([provider.arrived(arrivals), sleep(ARRIVES_WITHIN_MS)])
  await sleep(Math.random() * THINKS_MS)
  await cage.kill()
  return (await ends).flatMap((end) => (end.status === 'fulfilled' && end.value !== undefined ? [end.value] : []))
}

/** Every call of all rounds so far: the provider's log against the ledger. */
function look(rows: Row[], provider: FakeProvider, answered: number[], summary: KillSummary): void {
  const fault = (what: string) => void summary.faults.push(`kill ${summary.kills}: ${what}`)
  const byTokens = Map.groupBy(rows, ({ held_nanos }) => held_nanos / NANOS_PER_TOKEN)
  const seen = Map.groupBy(provider.requests, ({ body }) => tokensAsked(body))
  for (const [tokens, requests] of seen) {
    if (requests.length !== 1) fault(`the provider saw call ${tokens} ${requests.length} times`)
    const found = byTokens.get(tokens) ?? []
    if (found.length !== 1) fault(`call ${tokens}, which the provider saw, has ${found.length} rows`)
    if (found[0]?.state === 'released') fault(`call ${tokens}, which the provider saw, was released`)
  }
  for (const [tokens, found] of byTokens) {
    if (found.length !== 1) fault(`${found.length} rows for call ${tokens}`)
    const { state, cost_nanos, held_nanos } = found[0]!
    if (state === 'held') fault(`call ${tokens} is still held`)
    if (state === 'charged' && cost_nanos !== held_nanos) fault(`call ${tokens} was charged ${cost_nanos}`)
    if (state !== 'charged' && cost_nanos !== 0) fault(`call ${tokens} is ${state} and costs ${cost_nanos}`)
    if (!seen.has(tokens) && state !== 'unresolved') fault(`call ${tokens}, which nobody saw, is ${state}`)
  }
  for (const tokens of answered) {
    if (byTokens.get(tokens)?.[0]?.state !== 'charged') fault(`call ${tokens} was answered and not charged`)
  }
  const count = (state: Row['state']) => rows.filter((row) => row.state === state).length
  summary.seen = seen.size
  summary.charged = count('charged')
  summary.unresolved = count('unresolved')
  summary.unsent = [...byTokens.keys()].filter((tokens) => !seen.has(tokens)).length
}

/** The restarted server reports the same amounts as its rows, and its database is whole. */
async function lookAtBalance(cage: Cage, summary: KillSummary): Promise<void> {
  const rows = cage.rows()
  const sum = (amount: (row: Row) => number) => rows.reduce((total, row) => total + amount(row), 0) / 1e9
  const { spent_usd, held_usd } = await cage.balance()
  const spent = sum(({ cost_nanos }) => cost_nanos)
  const held = sum(({ state, held_nanos }) => (state === 'unresolved' ? held_nanos : 0))
  if (Number(spent_usd) !== spent || Number(held_usd) !== held) {
    summary.faults.push(`kill ${summary.kills}: spent ${spent_usd}, held ${held_usd}; the rows say ${spent}, ${held}`)
  }
  const [check] = cage.query('PRAGMA integrity_check') as { integrity_check: string }[]
  if (check?.integrity_check !== 'ok') summary.faults.push(`kill ${summary.kills}: ${check?.integrity_check}`)
}
