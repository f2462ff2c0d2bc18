/** The published data protocol: real messages fit its schemas, and they change only as docs/protocol.md promises. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Ajv } from 'ajv'
import { expect, onTestFinished, test } from 'vitest'
import protocol from '../../python/iron_cage/protocol.json' with { type: 'json' }
import type { RuntimeEvent } from '../../src/core/events.ts'
import { usd } from '../../src/core/money.ts'
import { AGENT, joinMachine, openMachine } from '../panel/machine.ts'
import { openTestPanel } from '../panel/open-panel.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { breaks, type Direction } from './protocol-changes.ts'

type Name = keyof typeof protocol.schemas

const released = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../../python/tests/protocol-0.3.0.json'), 'utf8'),
) as typeof protocol

const ajv = new Ajv({ strict: false, validateFormats: false })

/** The errors of a message. */
function faults(name: Name, message: unknown): unknown[] {
  const validate = ajv.compile(protocol.schemas[name])
  return validate(message) ? [] : [message, ...(validate.errors ?? [])]
}

const directionOf = (name: string): Direction => (/^(telemetry|lease-\w+)$/.test(name) ? 'accepted' : 'sent')

test('nothing that the released version sends or accepts has changed its meaning', () => {
  for (const [name, before] of Object.entries(released.schemas)) {
    const after = protocol.schemas[name as Name]
    expect(after, `${name} was removed`).toBeDefined()
    expect(breaks(before, after, directionOf(name)), name).toEqual([])
  }
})

const event = (data: object, required: string[]) => ({
  anyOf: [
    { type: 'object', properties: { type: { const: 'a' }, data: { type: 'object', properties: data, required } } },
    { type: 'object', properties: { type: { const: 'b' } } },
  ],
})
const BEFORE = event({ n: { type: 'number' }, level: { enum: ['low', 'high'] } }, ['n'])

test.each<[string, object, Direction, string[]]>([
  [
    'a new field',
    event({ ...{ n: { type: 'number' }, level: { enum: ['low', 'high'] } }, x: {} }, ['n', 'x']),
    'sent',
    [],
  ],
  ['a new value', event({ n: { type: 'number' }, level: { enum: ['low', 'high', 'top'] } }, ['n']), 'sent', []],
  ['a new type of event', { anyOf: [...BEFORE.anyOf, { properties: { type: { const: 'c' } } }] }, 'sent', []],
  [
    'a type that shares its data with another, as one of two',
    { anyOf: [BEFORE.anyOf[0], { type: 'object', properties: { type: { enum: ['b', 'c'] } } }] },
    'sent',
    [],
  ],
  ['a type of event less', { anyOf: BEFORE.anyOf.slice(0, 1) }, 'sent', ['$: b fits nothing any more']],
  ['a field less', event({ n: { type: 'number' } }, ['n']), 'sent', ['$(a).data.level: removed']],
  [
    'a field of another type',
    event({ n: { type: 'string' }, level: {} }, ['n']),
    'sent',
    ['$(a).data.n: was number, is string'],
  ],
  [
    'a field that may be null',
    event({ n: { type: ['number', 'null'] }, level: {} }, ['n']),
    'sent',
    ['$(a).data.n: was number, is number,null'],
  ],
  [
    'a field that may be missing',
    event({ n: { type: 'number' }, level: {} }, []),
    'sent',
    ['$(a).data.n: no longer always there'],
  ],
  [
    'a value less',
    event({ n: { type: 'number' }, level: { enum: ['low'] } }, ['n']),
    'sent',
    ['$(a).data.level: no longer high'],
  ],
  [
    'a new field that is required',
    event({ n: { type: 'number' }, level: {}, x: {} }, ['n', 'x']),
    'accepted',
    ['$(a).data.x: required now'],
  ],
  [
    'a field that may be null, for writers',
    event({ n: { type: ['number', 'null'] }, level: {} }, ['n']),
    'accepted',
    [],
  ],
])('%s is judged by the promise', (_, after, direction, found) => {
  expect(breaks(BEFORE, after as typeof BEFORE, direction)).toEqual(found)
})

/** The event without each of its fields, and with a value of another type in each; so with its data. */
function wrongOf(event: RuntimeEvent): object[] {
  const damaged = (good: object): object[] =>
    Object.keys(good).flatMap((key) => [
      Object.fromEntries(Object.entries(good).filter(([name]) => name !== key)),
      { ...good, [key]: { not: 'this' } },
    ])
  return [...damaged(event), ...damaged(event.data).map((data) => ({ ...event, data }))]
}

test('the events, messages and answers of a runtime fit the schemas, which the panel serves', async () => {
  const panel = await openTestPanel()
  const { fleet, organizationId, url } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
  const invite = () => fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const path = temporaryFile()
  await joinMachine(path, url, await invite())
  const machine = openMachine(path)
  onTestFinished(() => machine.close().catch(() => undefined))
  await machine.call('0.5', async () => dollars('0.25'))
  machine.state.record({
    type: 'budget.raised',
    level: 'INFO',
    agent_id: AGENT,
    message: 'raised',
    data: { from_usd: usd('1'), limit_usd: usd('2'), by: 'ada' },
  })
  const events = machine.state.findEvents({ after: 0, limit: 100 })
  expect(new Set(events.map(({ type }) => type)).size).toBeGreaterThan(1)
  for (const one of events) expect(faults('event', one)).toEqual([])
  for (const wrong of events.flatMap(wrongOf)) expect(faults('event', wrong), JSON.stringify(wrong)).not.toEqual([])

  const { token } = await fleet.credentials.join((await fleet.credentials.identify(await invite()))!, 'x', '1')
  const send = async (name: Name, route: string, body: object) => {
    expect(faults(name, body)).toEqual([])
    const response = await fetch(url + route, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answer = (await response.json()) as Record<string, unknown>
    expect(response.status, JSON.stringify(answer)).toBe(200)
    expect(faults(`${name}-answer` as Name, answer)).toEqual([])
    return answer
  }
  const batch = { journal_id: 'j', after: 0, through: events.at(-1)!.seq, lost: null, events }
  await send('telemetry', '/api/telemetry', batch)
  const { epoch } = await send('lease-open', '/api/leases/open', { journal_id: 'j' })
  const request = { epoch, request: 0, least_usd: '0.1', want_usd: '0.1' }
  const { id } = await send('lease-request', '/api/leases/request', request)
  const statement = { id, used_usd: '0', returned_usd: '0', held_usd: '0', final: false }
  await send('lease-report', '/api/leases/report', { epoch, statements: [statement] })

  const served = async (address: string) => (await fetch(url + address)).json()
  expect(await served('/api/schemas')).toEqual({ version: protocol.version, schemas: Object.keys(protocol.schemas) })
  for (const name of Object.keys(protocol.schemas)) {
    expect(await served(`/api/schemas/${name}`)).toEqual(protocol.schemas[name as Name])
  }
})
