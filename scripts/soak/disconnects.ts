/**
 * Clients that leave and providers that break off, at random, on one running server: when the last one is gone nothing
 * stays held, every call the provider saw is in the ledger once, and not a nanodollar was spent above the limit.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer, chatFrames, FakeProvider, resets, type Script, sends, streams } from '../../test/support/provider.ts'
import { Cage, NANOS_PER_TOKEN, type Row, tokensAsked } from './cage.ts'

const AT_ONCE = 64
/** The last tenth of the calls competes for a fifth of its maximum cost: the limit is drawn close and runs out. */
const CLOSE_FROM = 0.9
const CLOSE_SHARE = 0.2
/** A busy machine may take so long to notice that the last client has left, in ms. */
const SETTLES_WITHIN_MS = 60_000
/** Up to so long a client that will leave stays, in ms. */
const LEAVES_WITHIN_MS = 25

export interface DisconnectSummary {
  calls: number
  /** How the calls ended for the client: "left", "broken", or a status. */
  ends: Record<string, number>
  /** Requests the provider saw. */
  seen: number
  rows: Record<string, number>
  /** Charged although the request never reached the provider: the client left in the middle of sending. */
  paidUnseen: number
  /** How far spent plus held was above the limit at the worst sample, in US dollars; below 0 when it never was. */
  worstOverspend: number
  /** When the last client had been gone for a second. */
  heldAfterOneSecond: number
  heldInTheEnd: number
  faults: string[]
}

/** `onCall` receives how many calls have ended. */
export async function disconnectRounds(
  count: number,
  onCall: (done: number) => void = () => {},
): Promise<DisconnectSummary> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-disconnects-'))
  const provider = await FakeProvider.open()
  provider.does((response, received) => {
    const tokens = tokensAsked(received.body)
    return BEHAVIOURS[tokens % BEHAVIOURS.length]!(tokens)(response, received)
  })
  const cage = new Cage(folder, provider)
  const ends: Record<string, number> = {}
  const watch = { worst: Number.NEGATIVE_INFINITY, stopped: false }
  try {
    await cage.start()
    const watching = watchBalance(cage, watch)
    let next = 1
    let done = 0
    const client = (last: number) => async () => {
      while (next <= last) {
        const tokens = next++
        const end = await endOf(cage, tokens)
        ends[end] = (ends[end] ?? 0) + 1
        // The circuit does its own work; here it would only keep the calls from the provider.
        if (end === '503') await cage.closeCircuit()
        onCall(++done)
      }
    }
    const allUpTo = (last: number) => Promise.all(Array.from({ length: AT_ONCE }, client(last)))
    await allUpTo(Math.floor(count * CLOSE_FROM))
    // While nothing runs: a limit may be lowered below the spent and held amount, and that is no overspending.
    await drawLimitClose(cage, count)
    await allUpTo(count)
    await sleep(1_000)
    const heldAfterOneSecond = held(cage)
    for (const until = Date.now() + SETTLES_WITHIN_MS; held(cage) > 0 && Date.now() < until; ) await sleep(20)
    watch.stopped = true
    await watching
    return await look(cage, provider, { calls: count, ends, worstOverspend: watch.worst, heldAfterOneSecond })
  } finally {
    watch.stopped = true
    await cage.close()
    await provider.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const held = (cage: Cage): number => cage.rows().filter(({ state }) => state === 'held').length

/** The provider's behavior, by the number of tokens. */
const BEHAVIOURS: ((tokens: number) => Script)[] = [
  (tokens) => answer({ usage: usage(tokens) }),
  (tokens) => streams(frames(tokens)),
  // In the middle of the stream, and before its usage.
  (tokens) => streams(frames(tokens).slice(0, 5), 'resets'),
  (tokens) => streams(frames(tokens).slice(0, 5), 'ends'),
  () => resets,
  () => sends(500, { 'content-type': 'application/json' }, { error: { message: 'broken' } }),
  () => (response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"half":', () => response.socket?.resetAndDestroy())
  },
  (tokens) => async (response, received) => {
    await sleep(Math.random() * LEAVES_WITHIN_MS)
    await answer({ usage: usage(tokens) })(response, received)
  },
]

const usage = (tokens: number) => ({ prompt_tokens: 1, completion_tokens: tokens })
/** No longer than was asked for: an answer that is would be charged by its length. */
const frames = (tokens: number) =>
  chatFrames({ text: Array<string>(Math.min(20, tokens)).fill('word '), usage: usage(tokens) }).split(/(?<=\n\n)/)

/** Every second client leaves at some moment. */
async function endOf(cage: Cage, tokens: number): Promise<string> {
  const leaving = new AbortController()
  const timer = Math.random() < 0.5 ? setTimeout(() => leaving.abort(), Math.random() * LEAVES_WITHIN_MS) : undefined
  const stream = [1, 2, 3].includes(tokens % BEHAVIOURS.length)
  try {
    return String((await cage.call(tokens, { stream, signal: leaving.signal })).status)
  } catch {
    return leaving.signal.aborted ? 'left' : 'broken'
  } finally {
    clearTimeout(timer)
  }
}

async function drawLimitClose(cage: Cage, calls: number): Promise<void> {
  const { spent_usd, held_usd } = await cage.balance()
  const couldCost = (calls * (1 - CLOSE_FROM) * calls * NANOS_PER_TOKEN) / 1e9
  await cage.setLimit((Number(spent_usd) + Number(held_usd) + CLOSE_SHARE * couldCost).toFixed(9))
}

async function watchBalance(cage: Cage, watch: { worst: number; stopped: boolean }): Promise<void> {
  while (!watch.stopped) {
    const { limit_usd, spent_usd, held_usd } = await cage.balance()
    const nanos = Math.round((Number(spent_usd) + Number(held_usd) - Number(limit_usd)) * 1e9)
    watch.worst = Math.max(watch.worst, nanos / 1e9)
    await sleep(5)
  }
}

async function look(
  cage: Cage,
  provider: FakeProvider,
  known: Pick<DisconnectSummary, 'calls' | 'ends' | 'worstOverspend' | 'heldAfterOneSecond'>,
): Promise<DisconnectSummary> {
  const faults: string[] = []
  // Refused ones held nothing, and share a row.
  const rows = cage.rows().filter(({ held_nanos }) => held_nanos > 0)
  const states: Record<string, number> = {}
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1
  const seen = new Set(provider.requests.map(({ body }) => tokensAsked(body)))
  if (seen.size !== provider.requests.length) faults.push('the provider saw a call twice')
  const byTokens = new Map<number, Row>()
  for (const row of rows) {
    const tokens = row.held_nanos / NANOS_PER_TOKEN
    if (byTokens.has(tokens)) faults.push(`call ${tokens} has two rows`)
    byTokens.set(tokens, row)
    if (row.cost_nanos > row.held_nanos) faults.push(`call ${tokens} cost more than it held`)
    if ((row.state === 'charged') !== row.cost_nanos > 0)
      faults.push(`call ${tokens} is ${row.state} at ${row.cost_nanos}`)
  }
  for (const tokens of seen) {
    const row = byTokens.get(tokens)
    if (!row) faults.push(`call ${tokens}, which the provider saw, has no row`)
    // Only a refusal costs nothing.
    else if (row.state === 'released' && row.code !== 'provider_refused') {
      faults.push(`call ${tokens}, which the provider saw, was released: ${row.code}`)
    }
  }
  const { limit_usd, spent_usd, held_usd } = await cage.balance()
  const spent = rows.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
  if (Math.round(Number(spent_usd) * 1e9) !== spent) faults.push(`spent ${spent_usd}, the rows say ${spent / 1e9}`)
  if (spent > Math.round(Number(limit_usd) * 1e9)) faults.push(`spent ${spent_usd} of ${limit_usd}`)
  if (known.worstOverspend > 0) faults.push(`spent and held were $${known.worstOverspend} above the limit`)
  const heldInTheEnd = states.held ?? 0
  if (heldInTheEnd > 0 || held_usd !== '0') faults.push(`${heldInTheEnd} rows and $${held_usd} are still held`)
  const paidUnseen = rows.filter((row) => row.state === 'charged' && !seen.has(row.held_nanos / NANOS_PER_TOKEN)).length
  return { ...known, seen: seen.size, rows: states, paidUnseen, heldInTheEnd, faults }
}
