/** Money held for one call: made before it, waited for where a raise is awaited, ended once. */
import { expect, test } from 'vitest'
import { Ledger } from '../../../src/budget/ledger.ts'
import { RaiseWait } from '../../../src/budget/raise-wait.ts'
import { newCallId, toAgentId } from '../../../src/core/ids.ts'
import { nanodollars, toUsd } from '../../../src/core/money.ts'
import { type HeldCall, OpenHold } from '../../../src/gateway/charging/open-hold.ts'
import { openWorld } from '../../breaker/support.ts'
import { completedEvent, startedEvent } from '../../budget/support.ts'
import { dollars } from '../../support/money.ts'

const AGENT = toAgentId('a-1')
const never = new AbortController().signal

function openMoney(limit: string) {
  const world = openWorld()
  const ledger = new Ledger({ ...world, warnAt: [0.9] })
  ledger.accounts.openAccount(AGENT, dollars(limit))
  world.state.record(startedEvent(AGENT, limit))
  const caller = { agentId: AGENT, runId: null }
  const call = (usd: string): HeldCall => {
    return { id: newCallId(), caller, kind: 'llm', target: 'openai', model: 'gpt-4', maxCost: dollars(usd) }
  }
  const balance = () => {
    const { spent, held } = ledger.accounts.balance(AGENT)
    return [toUsd(spent), toUsd(held)]
  }
  return { ...world, ledger, raiseWait: new RaiseWait(ledger.accounts, world.clock, 60_000), call, balance }
}

test('a hold ends once: it is charged or released, and a second end throws and changes nothing', async () => {
  const { ledger, call, balance } = openMoney('1')
  const charged = await OpenHold.attempt(ledger, call('0.5'), never)
  expect([charged.hasEnded, toUsd(charged.maxCost), toUsd(charged.remaining)]).toEqual([false, '0.5', '0.5'])
  await charged.charge({ cost: dollars('0.2') }, completedEvent(AGENT, '0.2', charged.paidBy))
  expect([charged.hasEnded, balance()]).toEqual([true, ['0.2', '0']])
  expect(() => charged.release({}, completedEvent(AGENT, '0'))).toThrow('has already ended')
  expect(() => charged.charge({ cost: nanodollars(1) }, completedEvent(AGENT, '0'))).toThrow('has already ended')
  const released = await OpenHold.attempt(ledger, call('0.5'), never)
  await released.release({ status: 500 }, completedEvent(AGENT, '0', released.paidBy))
  expect([released.hasEnded, balance()]).toEqual([true, ['0.2', '0']])
})

test('a call that its budget cannot pay is refused by attempt, and begin holds it after a raise', async () => {
  const money = openMoney('1')
  await expect(OpenHold.attempt(money.ledger, money.call('2'), never)).rejects.toMatchObject({
    code: 'budget_exceeded',
  })
  const waiting = OpenHold.begin(money, money.call('2'), never)
  await new Promise(setImmediate)
  expect(money.balance()).toEqual(['0', '0'])
  money.ledger.accounts.setLimit(AGENT, dollars('3'), 'root')
  const hold = await waiting
  expect(money.balance()).toEqual(['0', '2'])
  await hold.release({}, completedEvent(AGENT, '0', hold.paidBy))
})
