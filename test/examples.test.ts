/**
 * Every program of python/examples, and an agent as each framework's beginners write it, under `iron-cage start` with the
 * real packages. Two at a time from the beginning on: most of their time goes into importing frameworks.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'smol-toml'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Beside, Cage, type Caged } from './examples/cage.ts'
import { type Example, folder, readExamples, tableOf } from './examples/example.ts'

const root = resolve(import.meta.dirname, '..')
const examples = readExamples()
/** They are run two at a time from the beginning on, and each test waits for its own. */
const RETRY_POLICY = { timeout: 900_000 }

/** Not under `start`: they show how an agent is tested without a cage. */
const isTest = ({ name }: Example) => name.startsWith('testing')

/**
 * Each asks twice; the budget pays for the first answer and not for all of the second. Those for CrewAI and LangChain are
 * in docs/tutorials, which test/documents/tutorials.test.ts runs.
 */
const TUTORIALS = [
  { name: 'langgraph_chatbot', environment: '.venv-test', limit: '0.0014' },
  { name: 'openai_quickstart', environment: '.venv-test', limit: '0.00018' },
  { name: 'anthropic_quickstart', environment: '.venv-test', limit: '0.0014' },
]

/** The steps of a person while an example runs, from its first lines. */
const BESIDE: Record<string, Beside> = {
  pattern_secret_rotation: {
    before: [{ words: ['secrets', 'set', 'CRM_KEY'], stdin: 'the-first-key' }],
    at: 'waiting for another key',
    meanwhile: [{ words: ['secrets', 'rotate', 'CRM_KEY'], stdin: 'the-second-key' }],
  },
}

/** Both cores; a waiting caller gets the next free one. */
class TwoAtATime {
  readonly #free = [Promise.resolve(), Promise.resolve()]
  #next = 0

  do<T>(work: () => Promise<T>): Promise<T> {
    const lane = this.#next++ % 2
    const done = this.#free[lane]!.then(work)
    this.#free[lane] = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }
}

let cage: Cage
const results = new Map<string, Promise<Caged>>()

beforeAll(async () => {
  cage = await Cage.open()
  const two = new TwoAtATime()
  const start = (key: string, environment: string, script: string, ...flags: string[]) => {
    const result = two.do(() => cage.start(environment, script, flags, BESIDE[key]))
    result.catch(() => undefined)
    results.set(key, result)
  }
  for (const { name, environment, limit } of TUTORIALS) {
    start(name, environment, `test/examples/tutorials/${name}.py`, '--budget', limit)
  }
  for (const { name, environment, start: words } of examples.filter((one) => !isTest(one))) {
    const [, , script, ...flags] = words
    start(name, environment, script!, ...flags)
  }
})

afterAll(async () => {
  await Promise.allSettled(results.values())
  await cage[Symbol.asyncDispose]()
}, RETRY_POLICY.timeout)

/**
 * As in the first lines, in a place where nothing of ours is installed: `PYTHONPATH` stands for `pip install
 * iron-cage`.
 */
function runTests(environment: string, words: string[]): Promise<{ code: number | null; said: string }> {
  const python = resolve(root, environment, 'bin/python')
  const env = {
    PATH: process.env.PATH,
    PYTHONPATH: 'python',
    PYTHONWARNINGS: 'ignore',
    PYTEST_ADDOPTS: '-p no:cacheprovider',
    OPENAI_API_KEY: 'sk-of-the-examples',
  }
  return new Promise((done) => {
    const child = execFile(python, words, { cwd: root, env }, (_error, out, err) => {
      done({ code: child.exitCode, said: out + err })
    })
  })
}

describe('an agent as beginners write it, without a word of the cage', () => {
  test.each(TUTORIALS)('$name: personal data is removed from its output', RETRY_POLICY, async ({ name }) => {
    const { printed, events } = (await results.get(name))!
    expect(printed).toContainEqual(
      expect.stringMatching(/^(Assistant: )?Write to Ann Berg, \[EMAIL_REDACTED\], please\.$/),
    )
    expect(printed.join()).not.toContain('A lighthouse')
    expect(JSON.stringify(events)).not.toContain('museum.example')
    expect(events.filter(({ type }) => type === 'pii.found')).toHaveLength(1)
  })

  test.each(TUTORIALS)('$name: cost is counted, and the budget ends it', RETRY_POLICY, async ({ name, limit }) => {
    const { code, err, spent, events } = (await results.get(name))!
    expect(code, err).toBe(3)
    expect(Number(spent)).toBeGreaterThan(0)
    expect(Number(spent)).toBeLessThanOrEqual(Number(limit))
    expect(events.filter(({ type }) => type === 'budget.exhausted')).toHaveLength(1)
  })
})

describe('an example', () => {
  test.each(examples.filter((one) => !isTest(one)))(
    '$name prints its expected output',
    RETRY_POLICY,
    async ({ name }) => {
      const { code, err, printed, spent, events } = (await results.get(name))!
      const said = events.flatMap((event) => (event.type === 'agent.output' ? [event.data.text] : []))
      expect(code, [err, ...said].join('\n')).toBe(0)
      expect(Number(spent)).toBeGreaterThan(0)
      await expect(`${printed.join('\n')}\n`).toMatchFileSnapshot(`../${folder}/expected/${name}.txt`)
    },
  )

  test.each(examples.filter(isTest))(
    '$name passes without a cage',
    RETRY_POLICY,
    async ({ name, environment, start }) => {
      const { code, said } = await runTests(environment, start.slice(1))
      expect(code, said).toBe(0)
      await expect(said.replace(/ in [\d.]+s/g, '')).toMatchFileSnapshot(`../${folder}/expected/${name}.txt`)
    },
  )

  test('an example is in the table of the README, with the versions it was run with', () => {
    expect(readFileSync(resolve(root, folder, 'README.md'), 'utf8')).toContain(tableOf(examples))
  })

  test('an example needs only the packages of `pip install iron-cage[all]`', () => {
    const { project } = parse(readFileSync(resolve(root, 'python/pyproject.toml'), 'utf8')) as unknown as {
      project: { 'optional-dependencies': { all: string[] } }
    }
    const all = project['optional-dependencies'].all.map((one) => /^[\w-]+/.exec(one)![0])
    for (const { packages } of examples) expect(all).toEqual(expect.arrayContaining(packages))
  })

  test('the first lines of each example contain its start command', () => {
    for (const { name, start } of examples) expect(start).toContain(`${folder}/${name}.py`)
  })
})
