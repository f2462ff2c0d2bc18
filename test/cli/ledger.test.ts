/** The ledger from the command line: on the file alone, and through the server that has it. */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Ledger } from '../../src/budget/ledger.ts'
import { systemClock } from '../../src/core/clock.ts'
import { newCallId, toAgentId, toRunId } from '../../src/core/ids.ts'
import { openStore } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { completedEvent, startedEvent } from '../budget/support.ts'
import { dollars } from '../support/money.ts'
import { openPlace, type Place } from './support.ts'

const AGENT = toAgentId('lg-7a3f9c2d')

/** The state after a server was killed: $2 charged, and two calls of $3 without an end. */
async function afterCrash(): Promise<{ place: Place; charged: string; open: [string, string] }> {
  const place = openPlace()
  const store = openStore({ path: join(place.folder, 'iron_state.db') })
  const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault: console.error })
  const ledger = new Ledger({ store, state, clock: systemClock, warnAt: [0.9] })
  ledger.accounts.openAccount(AGENT, dollars('50'))
  state.record(startedEvent(AGENT, '50'))
  const hold = (usd: string) =>
    ledger.hold({
      callId: newCallId(),
      agentId: AGENT,
      runId: toRunId('run-1'),
      kind: 'llm',
      target: 'openai',
      model: 'gpt-4',
      maxCost: dollars(usd),
    })
  const first = await hold('2')
  await ledger.charge(first, { cost: dollars('2') }, completedEvent(AGENT, '2'))
  const open: [string, string] = [(await hold('3')).callId, (await hold('3')).callId]
  ledger.close()
  state.close()
  store.close()
  return { place, charged: first.callId, open }
}

const cells = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/))

test.each(['without a server', 'through the server'])(
  'calls that a killed server left open are resolved, %s',
  async (how) => {
    const { place, charged, open } = await afterCrash()
    if (how === 'through the server') await place.start(['serve', '--port', '0']).shows('http://localhost')
    const budget = async (...words: string[]) => {
      const { code, out, err } = await place.type(['budget', ...words])
      return code === 0 ? out : `exit ${code}: ${err.split('\n')[0]}`
    }

    for (const named of [AGENT, 'lg-7a', 'worker', 'worker.py']) {
      expect(await budget('get', named)).toBe(`${AGENT}  $2.00 / $50.00, $6.00 held, $42.00 left\n`)
    }
    expect(
      cells(await budget('calls', 'worker', '--state', 'unresolved')).map(([id, , ...rest]) => [id, ...rest]),
    ).toEqual([
      ['CALL', 'STATE', 'TARGET', 'COST', 'REMARK'],
      [open[1], 'unresolved', 'gpt-4', '$3.00 held', 'server_ended'],
      [open[0], 'unresolved', 'gpt-4', '$3.00 held', 'server_ended'],
    ])
    expect(await budget('release', AGENT, open[0])).toBe(`${AGENT}  $2.00 / $50.00, $3.00 held, $45.00 left\n`)
    expect(await budget('release', AGENT, open[0])).toBe(
      `exit 6: iron-cage: call ${open[0]} is released, not unresolved`,
    )
    expect(await budget('charge', AGENT, open[1], '1.50')).toBe(`${AGENT}  $3.50 / $50.00, $46.50 left\n`)
    expect(await budget('correct', AGENT, charged, '1.25', '--reason', 'invoice')).toBe(
      `${AGENT}  $2.75 / $50.00, $47.25 left\n`,
    )
    expect(await budget('correct', AGENT, charged, '0.00', '--reason', 'twice')).toBe(
      `${AGENT}  $1.50 / $50.00, $48.50 left\n`,
    )
    if (how === 'through the server') return
    expect(await budget('correct', AGENT, charged, '0', '--reason', 'x')).toMatch(/^exit 2: .* arrived as "0"/)
    expect(await budget('correct', AGENT, charged, '5')).toMatch(/^exit 2: /)
    expect(await budget('correct', AGENT, 'call-0', '5', '--reason', 'x')).toMatch(/^exit 5: .* made no call "call-0"/)
    expect(await budget('calls', AGENT, '--state', 'open')).toMatch(/^exit 2: .*state/)
    const [, ...rows] = cells(await budget('calls', AGENT, '--kind', 'correction'))
    expect(rows.map(([, , kind, model, cost, what]) => [kind, model, cost, what])).toEqual([
      ['correction', 'gpt-4', '-$1.25', `of ${charged}: twice`],
      ['correction', 'gpt-4', '-$0.75', `of ${charged}: invoice`],
    ])
    const all = JSON.parse(await budget('calls', AGENT, '--json')) as { cost_usd: string }[]
    expect(all).toHaveLength(5)
  },
  300_000,
)

test('the report has the same sums as text, JSON and CSV, of one agent and of all', async () => {
  const { place, open } = await afterCrash()
  const server = place.start(['serve', '--port', '0'])
  await server.shows('http://localhost')
  await place.type(['budget', 'charge', AGENT, open[0], '0.123456789'])
  const report = async (...words: string[]) => (await place.type(['report', ...words])).out

  const { agent, budget, costs } = JSON.parse(await report(AGENT, '--format', 'json'))
  expect([agent.spent_usd, budget.spent_usd, costs.spent_usd, costs.held_usd]).toEqual([
    '2.123456789',
    '2.123456789',
    '2.123456789',
    '3',
  ])
  const [header, ...lines] = (await report(AGENT, '--format', 'csv')).trimEnd().split('\n')
  const column = header!.split(',').indexOf('cost_usd')
  const sum = lines.reduce((total, line) => total + dollars(line.split(',')[column]!), 0)
  expect(sum).toBe(dollars('2.123456789'))

  const text = await report(AGENT)
  expect(text).toMatch(/^Total +\$2\.12 of \$50\.00 \(4\.2% used\)$/m)
  expect(text).toMatch(/^Held +\$3\.00 by 1 call$/m)
  expect(text).toMatch(/^ {2}left by a killed server +1$/m)
  const together = await report()
  expect(together).toMatch(/^Spent +\$2\.12$/m)
  expect(together).toMatch(new RegExp(`^ {2}${AGENT} +2 calls {2}\\$2\\.12$`, 'm'))
  expect(JSON.parse(await report('--format', 'json'))).toEqual(costs)
  expect(await place.type(['report', '--format', 'csv'])).toMatchObject({ code: 2, out: '' })
  expect(await place.type(['report', 'nobody', '--format', 'csv'])).toMatchObject({ code: 5, out: '' })
}, 300_000)
