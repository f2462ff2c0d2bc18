import { expect, test, vi } from 'vitest'
import { toAgentId, toCallId } from '../../src/core/ids.ts'
import { MAX_FINDINGS } from '../../src/redaction/findings.ts'
import { Incidents } from '../../src/redaction/incidents.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { emptySnapshot } from '../../src/state/snapshot.ts'
import { openWorld } from '../breaker/support.ts'
import { answer } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

const addresses = (count: number): string =>
  Array.from({ length: count }, (_, index) => `person${index}@customers-of-acme.com`).join('\n')

const origin = { agentId: toAgentId('lg-1'), callId: toCallId('call-1'), place: 'reply' } as const

test('a text full of addresses is one event with their number, and an incident for each of the first ones', () => {
  const world = openWorld()
  const transaction = vi.spyOn(world.store, 'transaction')
  const incidents = new Incidents(world.store, world.state)
  const { findings } = new Redactor(DEFAULT_POLICY).redact(`${addresses(20_000)}\nCall +1 415 555 0178.`)
  incidents.recordAll(findings, origin)
  expect(world.of('pii.found').map(({ message, data }) => [message, data.count, data.incidents])).toEqual([
    ['EMAIL in reply → [EMAIL_REDACTED] (20,000 times)', 20_000, MAX_FINDINGS],
    ['PHONE in reply → [PHONE_REDACTED]', undefined, undefined],
  ])
  expect(world.store.orm.$client.prepare('select count(*) from pii_incidents').pluck().get()).toBe(MAX_FINDINGS + 1)
  expect(transaction).toHaveBeenCalledTimes(1)
})

test('nothing found is nothing recorded', () => {
  const world = openWorld()
  new Incidents(world.store, world.state).recordAll([], origin)
  expect(world.events).toEqual([])
  expect(world.state.read()).toEqual(emptySnapshot())
})

test.each([false, true])(
  'all findings of a reply count, and few of them make an event (streamed: %s)',
  async (stream) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.provider.does(answer({ text: addresses(1_000).match(/[\s\S]{1,50}/g)! }))
    const reply = await agent.chat({ stream, max_tokens: 1_000 })
    expect(reply.text).not.toContain('@')
    const events = cage.of('pii.found')
    expect(events.length).toBe(stream ? 2 : 1)
    expect(events.reduce((sum, { data }) => sum + (data.count ?? 1), 0)).toBe(1_000)
    expect(cage.runtime.state.read().agents[agent.id]?.pii).toEqual({ email: 1_000 })
    // Recorded before the call, as they happened.
    expect(cage.events.map(({ type }) => type).lastIndexOf('pii.found')).toBeLessThan(
      cage.events.findIndex(({ type }) => type === 'call.completed'),
    )
  },
)
