import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { encoded } from '../../../src/gateway/bodies/bytes.ts'
import { LargeBodies } from '../../../src/gateway/bodies/large-bodies.ts'
import { DEFAULT_POLICY } from '../../../src/redaction/policy.ts'
import { turnsDuring } from '../../support/turns.ts'

const never = new AbortController().signal
const chat = (content: string): Buffer => encoded(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }] }))
const format = { dialect: 'openai', format: 'chat-completions' } as const
const read = (bytes: Buffer) => ({ bytes, model: undefined, format, naming: { named: undefined, models: {} } })
/** Some seconds of work. */
const endless = () => ({
  bytes: chat('a@b.co 4111 1111 1111 1111 '.repeat(400_000)),
  dialect: 'openai' as const,
  settings: { policy: { ...DEFAULT_POLICY, scope: ['requests' as const] }, known: [] },
  sealKey: '',
})

test('a body is handed to the thread and, with the result, back', async () => {
  const large = new LargeBodies(systemClock)
  const bytes = chat('x'.repeat(400_000))
  const size = bytes.length
  const work = large.run('readRequest', read(bytes), { agentId: 'a', signal: never })
  await nextTurn()
  expect(bytes.length).toBe(0)
  const { bytes: back, facts } = await work
  expect(back.length).toBe(size)
  expect(facts).toMatchObject({ model: 'm', stream: false })
})

test('errors come back as they were thrown', async () => {
  const large = new LargeBodies(systemClock)
  const work = { agentId: 'a', signal: never }
  await expect(large.run('readRequest', read(encoded('{"model":'.padEnd(400_000))), work)).rejects.toMatchObject({
    code: 'bad_request',
    hint: expect.any(String),
  })
  const tools = encoded(JSON.stringify({ model: 'm', tools: [{ type: 'web_search' }], pad: 'x'.repeat(400_000) }))
  await expect(large.run('readRequest', read(tools), work)).rejects.toMatchObject({
    code: 'price_unknown',
    facts: { field: 'tools' },
  })
})

test('the body of one agent does not wait for those of another, and others have their turn all the while', async () => {
  const large = new LargeBodies(systemClock)
  const gone = new AbortController()
  const forA = { agentId: 'a', signal: gone.signal }
  const ofA = [large.run('redactRequest', endless(), forA), large.run('redactRequest', endless(), forA)]
  const results = Promise.allSettled(ofA)
  const { turns } = await turnsDuring(() =>
    large.run('readRequest', read(chat('x'.repeat(400_000))), { agentId: 'b', signal: never }),
  )
  gone.abort(new Error('left'))
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(turns).toBeGreaterThan(100)
})

test('work without a waiting caller is stopped, and so is an idle thread', async () => {
  const ended = vi.spyOn(Worker.prototype, 'terminate')
  onTestFinished(() => ended.mockRestore())
  const large = new LargeBodies(systemClock)
  const gone = new AbortController()
  const redacting = large.run('redactRequest', endless(), { agentId: 'a', signal: gone.signal })
  await nextTurn()
  gone.abort(new Error('left'))
  await expect(redacting).rejects.toThrow('left')
  expect(ended).toHaveBeenCalledTimes(1)
  for (const times of [2, 3]) {
    await large.run('readRequest', read(chat('x'.repeat(400_000))), { agentId: 'a', signal: never })
    await vi.waitFor(() => expect(ended).toHaveBeenCalledTimes(times), 10_000)
  }
})
