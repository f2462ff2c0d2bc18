import { expect, test } from 'vitest'
import { answer } from '../support/provider.ts'
import { openTestRuntime } from '../support/runtime.ts'

test('metrics have the figures of the ledger and the dashboard, in the Prometheus format, for permitted roles', async () => {
  const cage = await openTestRuntime()
  const { access_token: token } = await cage.login()
  const agent = cage.addAgent({ limit: '10' })
  cage.provider.does(
    answer({ text: 'Ask jane.canary@northwind-traders.com.', usage: { prompt_tokens: 0, completion_tokens: 4 } }),
  )
  await agent.chat({ model: 'penny' })
  expect((await cage.get('/metrics')).status).toBe(401)
  const reply = await cage.get('/metrics', token)
  expect(reply.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
  const samples = new Map(
    reply.text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
  const of = (name: string, labels: string) => samples.get(`iron_cage_${name}{agent="${agent.id}"${labels}}`)
  expect(of('budget_limit_usd', '')).toBe(10)
  expect(of('spent_usd_total', ',kind="model",target="penny"')).toBe(Number(agent.balance().spent))
  expect(of('llm_calls_total', ',outcome="completed"')).toBe(1)
  expect(of('findings_total', ',type="email"')).toBe(1)
  expect(samples.get('iron_cage_events_total')).toBe(cage.runtime.state.read().seq)
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)
})
