/** The error of an agent in the log. */
import { spawnSync } from 'node:child_process'
import { describe, expect, it, test } from 'vitest'
import { type OutputEntry, TracebackReader } from '../../src/agents/traceback.ts'
import { openAgents } from '../support/agents.ts'

const written = (program: string, ...args: string[]): string[] =>
  spawnSync(program, args, { encoding: 'utf8' }).stderr.trimEnd().split('\n')

function read(lines: readonly string[]): OutputEntry[] {
  const reader = new TracebackReader()
  return [...lines.flatMap((text) => reader.add({ text, truncated: false })), ...reader.end()]
}

const CHAINED = `
try:
    {}["a"]
except KeyError:
    raise ValueError("second")
`

describe('the lines of one error become one entry, in the order in which they were written', () => {
  it('a traceback of Python is one entry', () => {
    const lines = written('python3', '-c', 'def f():\n    raise ValueError("no such lead")\nf()')
    expect(read(['before', ...lines, 'after'])).toEqual([
      { text: 'before', truncated: false, error: null },
      { text: lines.join('\n'), truncated: false, error: 'ValueError: no such lead' },
      { text: 'after', truncated: false, error: null },
    ])
  })

  it('an exception with its cause is one entry', () => {
    const lines = written('python3', '-c', CHAINED)
    expect(lines.filter((line) => line.startsWith('Traceback'))).toHaveLength(2)
    expect(read(lines)).toEqual([{ text: lines.join('\n'), truncated: false, error: 'ValueError: second' }])
  })

  it('a stack of Node is one entry', () => {
    const lines = written(process.execPath, '-e', 'throw Object.assign(new TypeError("no"), { code: "E1" })')
    const header = lines.indexOf('TypeError: no')
    const entries = read(lines)
    const found = entries.find(({ error }) => error === 'TypeError: no')
    expect(found?.text).toMatch(/^TypeError: no\n {4}at .+code: 'E1'\n}$/s)
    expect(entries.slice(0, header).map(({ text }) => text)).toEqual(lines.slice(0, header))
    expect(
      entries
        .map(({ text }) => text)
        .join('\n')
        .replaceAll('\n', ''),
    ).toBe(lines.join(''))
  })
})

test('a traceback of a program that was ended while it printed is one entry as well', () => {
  const lines = ['Traceback (most recent call last):', '  File "a.py", line 1, in <module>', '    call()']
  expect(read(['before', ...lines])).toEqual([
    { text: 'before', truncated: false, error: null },
    { text: lines.join('\n'), truncated: false, error: 'Traceback, cut off before its exception' },
  ])
})

test('lines that only begin like an error stay lines, and none is lost', () => {
  for (const lines of [
    ['ValueError: handled', 'going on'],
    ['Traceback (most recent call last):'],
    ['Traceback (most recent call last):', ...Array.from({ length: 600 }, () => '  File "a.py"'), 'KeyError: 1'],
  ]) {
    const entries = read(lines)
    expect(entries.map(({ text }) => text)).toEqual(lines)
    expect(entries.every(({ error }) => error === null)).toBe(true)
  }
})

it('an agent that crashes in the same way before its first call has one traceback, at ERROR, and two lives', async () => {
  const agents = openAgents()
  const id = await agents.start('early_crash.py')
  expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'failed', exitCode: 1 })
  const errors = agents.events.filter(({ type, level }) => type === 'agent.output' && level === 'ERROR')
  expect(errors.map(({ message }) => message)).toEqual([
    'RuntimeError: the CRM is not configured',
    'RuntimeError: the CRM is not configured (the same traceback as before)',
  ])
  expect(errors[0]!.data).toMatchObject({ text: expect.stringMatching(/^Traceback .+\n.+RuntimeError: /s) })
  expect(agents.count('agent.started')).toBe(2)
  expect(agents.state.read().agents[id]!.reason).toBe(
    'exit code 1, twice before its first call: RuntimeError: the CRM is not configured',
  )
})

it('an agent that fails for a missing key is not restarted, and its reason names the key to set', async () => {
  const agents = openAgents()
  const id = await agents.start('early_crash.py', { args: ['set CRM_API_KEY first'] })
  expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'failed' })
  expect(agents.count('agent.started')).toBe(1)
  expect(agents.state.read().agents[id]!.reason).toBe(
    'exit code 1: CRM_API_KEY is not set; set it in the environment or with "iron-cage secrets set CRM_API_KEY"',
  )
})
