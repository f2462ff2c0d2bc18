import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { countTokens } from 'gpt-tokenizer/encoding/cl100k_base'
import { afterEach, describe, expect, test } from 'vitest'
import {
  clearbitFigures,
  type Lead,
  linkedinProfile,
  linkedinRequest,
  readLeads,
  startWorld,
  type World,
  type WorldOptions,
} from '../../demo/world.ts'
import { subtract, toUsd } from '../../src/core/money.ts'
import { findPii } from '../../src/redaction/redactor.ts'
import { dollars } from '../support/money.ts'
import { TinyCage } from './tiny-cage.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const leads = readLeads(`${root}demo/leads.csv`)
const open: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function openWorld(options: Partial<WorldOptions> = {}): Promise<World> {
  const world = await startWorld({ leads, ...options })
  open.push(world.close)
  return world
}

async function openCage(world: World): Promise<TinyCage> {
  const cage = await TinyCage.open(world, leads)
  open.push(() => cage.close())
  return cage
}

/** Runs the agent to its end, as often as it takes. Returns the number of starts and the output. */
async function runAgent(cage: TinyCage, python?: string): Promise<{ starts: number; output: string }> {
  let output = ''
  for (let starts = 1; ; starts++) {
    const agent = cage.startAgent(python)
    open.push(async () => void agent.kill('SIGKILL'))
    agent.stdout?.on('data', (chunk: Buffer) => {
      output += chunk
    })
    cage.onCheckpoint = (count) => {
      if (killAt.has(count)) agent.kill('SIGKILL')
    }
    const [code, signal] = await once(agent, 'close')
    if (signal !== 'SIGKILL') {
      expect(code).toBe(0)
      return { starts, output }
    }
  }
}

/** Numbers of the checkpoints after which the agent is killed. */
const killAt = new Set<number>()
afterEach(() => killAt.clear())

const prompt = (lead: Lead, number: number, of: number, characters = 28_000) => ({
  role: 'user',
  content: `Domain: ${lead.domain}\n${'x '.repeat(characters / 2)}\nReading ${number} of ${of}.`,
})

async function chat(world: World, body: object): Promise<Response> {
  return fetch(`${world.url}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-demo' },
    body: JSON.stringify(body),
  })
}

interface Completion {
  choices: { message: { content: string }; finish_reason: string }[]
  usage: object
}

async function reply(world: World, lead: Lead, number: number, of: number): Promise<string> {
  const answer = (await (
    await chat(world, { model: 'gpt-4', messages: [prompt(lead, number, of)] })
  ).json()) as Completion
  return answer.choices[0]!.message.content
}

describe('the leads', () => {
  test('the hundred leads have distinct domains, and the named ones have their fixed positions', () => {
    expect(leads.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(new Set(leads.map(({ domain }) => domain)).size).toBe(100)
    const named = [1, 2, 34, 67, 85, 100].map((id) => leads[id - 1]!.company)
    expect(named).toEqual([
      'Acme Corp',
      'GlobalTech',
      'FailCorp',
      'PII Leaker Inc',
      'Budget Trigger Co',
      'Final Lead LLC',
    ])
    expect(leads[66]!.contactEmail).toBe('ceo@piileaker.com')
  })
})

describe('the world', () => {
  test('the same request gets the same answer, independent of earlier requests', async () => {
    const [one, other] = [await openWorld(), await openWorld()]
    const lead = leads[49]!
    const first = await reply(one, lead, 2, 3)
    await reply(other, leads[3]!, 1, 1)
    await reply(other, lead, 1, 3)
    expect(await reply(other, lead, 2, 3)).toBe(first)
  })

  test("a model reports the usage that the demo's arithmetic assumes", async () => {
    const world = await openWorld()
    const usage = async (characters: number) =>
      (
        (await (
          await chat(world, { model: 'gpt-4', messages: [prompt(leads[0]!, 1, 1, characters)] })
        ).json()) as Completion
      ).usage
    expect(await usage(13_650)).toEqual({ prompt_tokens: 3000, completion_tokens: 500, total_tokens: 3500 })
    expect(await usage(28_000)).toEqual({ prompt_tokens: 6000, completion_tokens: 1000, total_tokens: 7000 })
  })

  test.each([true, false])(
    'a streamed reply is the whole one in pieces; its usage comes when asked for: %s',
    async (asked) => {
      const world = await openWorld()
      const lead = leads[66]!
      const streamed = await chat(world, {
        model: 'gpt-4',
        messages: [prompt(lead, 2, 3)],
        stream: true,
        ...(asked ? { stream_options: { include_usage: true } } : {}),
      })
      const lines = (await streamed.text()).trim().split('\n\n')
      expect(lines.pop()).toBe('data: [DONE]')
      const frames = lines.map((line) => JSON.parse(line.slice(6)))
      expect(frames.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(await reply(world, lead, 2, 3))
      expect(frames.filter(({ usage }) => usage).map(({ usage, choices }) => [usage.total_tokens, choices])).toEqual(
        asked ? [[7000, []]] : [],
      )
    },
  )

  test('exactly three leads contain personal data, each in one reading, and no other text resembles any', async () => {
    const world = await openWorld()
    const found: string[] = []
    for (const lead of leads) {
      expect(personalData(JSON.stringify([linkedinProfile(lead), clearbitFigures(lead)]))).toEqual([])
      for (const [number, of] of [
        [1, 1],
        [1, 3],
        [2, 3],
        [3, 3],
      ] as const) {
        for (const datum of personalData(await reply(world, lead, number, of)))
          found.push(`${lead.id} ${number}/${of} ${datum}`)
      }
    }
    const second = leads[90]!.contactEmail
    expect(found).toEqual([
      '67 1/1 ceo@piileaker.com',
      '67 2/3 ceo@piileaker.com',
      '78 1/1 (415) 555-0178',
      '78 2/3 (415) 555-0178',
      `91 1/1 ${second}`,
      `91 2/3 ${second}`,
    ])
  })

  test('the last answer about the leads 58 and 92 lacks a field, and no other does', async () => {
    const world = await openWorld()
    const lacking: number[] = []
    for (const lead of leads) {
      const answer = JSON.parse(await reply(world, lead, 3, 3))
      expect(answer).toMatchObject({ fit_score: expect.any(Number), decision_maker: expect.any(String) })
      if (!('next_step' in answer)) lacking.push(lead.id)
    }
    expect(lacking).toEqual([58, 92])
  })

  test('LinkedIn is down from the scripted lead on, for half an hour, and its log shows it', async () => {
    const world = await openWorld()
    const ask = (lead: Lead) => fetch(`${world.url}/linkedin${linkedinRequest(lead)}`)
    const [before, down, after] = [await ask(leads[32]!), await ask(leads[33]!), await ask(leads[99]!)]
    expect(await before.json()).toEqual(linkedinProfile(leads[32]!))
    expect([before.status, down.status, after.status]).toEqual([200, 429, 429])
    expect(down.headers.get('retry-after')).toBe('1800')
    expect(world.requests.map(({ lead, status }) => [lead, status])).toEqual([
      [33, 200],
      [34, 429],
      [100, 429],
    ])
    expect([world.count('linkedin'), world.count('linkedin', 34), world.count('openai')]).toEqual([3, 1, 0])
  })

  test('LinkedIn recovers on command', async () => {
    const world = await openWorld({ failFromLead: 10, recoverFromLead: 12, retryAfterS: 1 })
    const ask = (id: number) => fetch(`${world.url}/linkedin${linkedinRequest(leads[id - 1]!)}`)
    const answers = [await ask(9), await ask(10), await ask(11), await ask(12)]
    expect(answers.map(({ status }) => status)).toEqual([200, 429, 429, 200])
    expect(answers[1]!.headers.get('retry-after')).toBe('1')
  })

  test('an unknown lead, path or body is refused', async () => {
    const world = await openWorld()
    const statuses = [
      (await fetch(`${world.url}/linkedin/v2/companies?domain=unknown.example`)).status,
      (await fetch(`${world.url}/openai/v1/embeddings`, { method: 'POST', body: '{}' })).status,
      (await fetch(`${world.url}/openai/v1/chat/completions`, { method: 'POST', body: 'no json' })).status,
    ]
    expect(statuses).toEqual([404, 404, 400])
  })
})

describe('the agent in the world', () => {
  test('a whole run spends $45.9025, split over the leads as in the table', async () => {
    const world = await openWorld()
    const cage = await openCage(world)
    const { output } = await runAgent(cage)
    checkTotals(world, cage)
    const costs = leads.map(({ id }) => toUsd(subtract(cage.spentAt.get(id)!, cage.spentAt.get(id - 1)!)))
    const expected = leads.map(({ id }) => (id < 34 ? '0.23' : id < 86 ? '0.73' : '0.0235'))
    expect(costs).toEqual(expected)
    expect(output.split('\n')[33]).toMatch(/^lead 34: FailCorp: fit \d+ \(cached profile, gpt-4\)$/)
    expect(personalData(output)).toEqual([])
    // The product's own count of tokens has to agree with the usage reported by the world.
    for (const [index, text] of cage.prompts.entries()) {
      const tokens = index < 33 ? 3000 : 6000
      if (index % 10 === 0) expect(Math.abs(countTokens(text) / tokens - 1), `prompt ${index}`).toBeLessThan(0.06)
    }
    // This cage redacts nothing: the notes of a reading come back in the next one. Nothing else may hold personal data.
    expect(cage.prompts.flatMap(personalData)).toEqual(['ceo@piileaker.com', '(415) 555-0178', leads[90]!.contactEmail])
  })

  test('an agent killed after any of its steps goes on without paying for one twice', async () => {
    const world = await openWorld()
    const cage = await openCage(world)
    // Each step of a live lead, of the first and a later degraded one, and of the one that brings the warning.
    const stepsOf = (id: number) => {
      const before = (id - 1) * 5 + Math.max(0, id - 34) * 2
      return Array.from({ length: id < 34 ? 5 : 7 }, (_, index) => before + index + 1)
    }
    for (const id of [1, 34, 85]) for (const step of stepsOf(id)) killAt.add(step)
    const { starts } = await runAgent(cage)
    expect(starts).toBe(1 + 5 + 7 + 7)
    checkTotals(world, cage)
  })

  test('an agent with LangChain makes the same calls', async () => {
    const python = `${root}.venv-test/bin/python`
    expect(existsSync(python), 'scripts/setup-tests.sh makes .venv-test, with langchain-openai in it').toBe(true)
    const [world, plainWorld] = [await openWorld(), await openWorld()]
    const cage = await openCage(world)
    await runAgent(cage, python)
    checkTotals(world, cage)
    await runAgent(await openCage(plainWorld))
    expect(world.requests.map(({ key, ...request }) => request)).toEqual(
      plainWorld.requests.map(({ key, ...request }) => request),
    )
  })
})

/** The figures of the end of the show. */
function checkTotals(world: World, cage: TinyCage): void {
  expect(toUsd(cage.spent)).toBe('45.9025')
  expect(toUsd(cage.spentAt.get(23)!)).toBe('5.29')
  expect(toUsd(cage.spentAt.get(85)!)).toBe('45.55')
  expect(toUsd(cage.warnedAt!)).toBe('45.07')
  const failed = cage.outcomes.filter(({ outcome }) => outcome === 'failed')
  expect(failed.map(({ label, reason }) => [label.split(':')[0], reason])).toEqual([
    ['lead 58', 'the answer lacks next_step'],
    ['lead 92', 'the answer lacks next_step'],
  ])
  expect(cage.outcomes.length).toBe(100)
  expect(cage.outcomes.filter(({ degraded }) => degraded).length).toBe(67)
  expect([cage.blocked, cage.fallbacks.length]).toEqual([66, 67])
  expect([world.count('linkedin'), world.count('linkedin', 34), world.count('clearbit')]).toEqual([33 + 5, 5, 100])
  expect(world.count('openai')).toBe(33 + 67 * 3)
  const cheap = world.requests.filter(({ model }) => model === 'gpt-3.5-turbo')
  expect([cheap.length, cheap[0]?.lead]).toEqual([15 * 3, 86])
  expect(cage.progress.at(-1)).toEqual({ done: 100, total: 100, unit: 'leads', label: null })
  expect(dollars('50') - cage.spent).toBeGreaterThan(0)
}

/** The findings of the product's own detectors in a text. */
const personalData = (text: string): string[] => findPii(text).map(({ start, end }) => text.slice(start, end))
