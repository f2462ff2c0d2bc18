/** Blocks and help fit the window. */
import { expect, test } from 'vitest'
import { runCli } from '../../../src/cli/cli.ts'
import { table, tree } from '../../../src/cli/output/print.ts'
import { processTerminal } from '../../../src/cli/output/terminal.ts'
import { wrapLines } from '../../../src/log/wrap.ts'

const block = tree('Iron Cage', [
  ['Keys', 'none for openai, anthropic (only an agent that calls them needs one: OPENAI_API_KEY or ANTHROPIC_API_KEY)'],
  ['Dashboard', `http://localhost:8080/#code=code_${'x'.repeat(60)}`],
  ['Log', 'iron_logs'],
])

test('a block is wrapped below its column, and its lines go on', () => {
  expect(wrapLines(block, 60)).toEqual([
    'Iron Cage',
    '  ├─ Keys       none for openai, anthropic (only an agent',
    '  │             that calls them needs one: OPENAI_API_KEY or',
    '  │             ANTHROPIC_API_KEY)',
    '  ├─ Dashboard',
    `http://localhost:8080/#code=code_${'x'.repeat(60)}`,
    '  └─ Log        iron_logs',
  ])
})

test('a sign-in link fits a line of 80 columns', () => {
  const link = `http://localhost:8080/#code=code_${'x'.repeat(43)}`
  expect(
    wrapLines(
      tree('Iron Cage', [
        ['Dashboard', link],
        ['Log', 'x'],
      ]),
      80,
    ),
  ).toContain(`  │ ${link}`)
})

test('without a window, and in one that is wide enough, nothing is wrapped', () => {
  expect(wrapLines(block, undefined)).toEqual(block)
  expect(wrapLines(block, 200)).toEqual(block)
})

test('columns of a table that do not fit beside the others are on further lines of each row', () => {
  const rows = [
    ['ALERT', 'AGENT', 'TITLE', 'SEEN'],
    ['alert-1', 'lister', 'Budget exhausted', 'yes'],
  ]
  expect(table(rows)).toEqual([
    'ALERT    AGENT   TITLE             SEEN', //
    'alert-1  lister  Budget exhausted  yes',
  ])
  expect(table(rows, 30)).toEqual([
    'ALERT    AGENT',
    '    TITLE             SEEN',
    'alert-1  lister',
    '    Budget exhausted  yes',
  ])
})

test('a group of commands lists when it is named alone, and names its commands when one is mistyped', async () => {
  const answer = async (...words: string[]) => {
    const lines: string[] = []
    const say = (line: string) => void lines.push(line)
    const terminal = { ...processTerminal(), out: say, err: say }
    return [await runCli([...words, '--db', '/nowhere/iron_state.db'], {}, terminal), ...lines]
  }
  expect(await answer('circuits')).toEqual(await answer('circuits', 'list'))
  const [code, error] = await answer('circuits', 'rest')
  expect([code, error]).toEqual([2, expect.stringContaining('unknown argument: rest')])
  expect(await answer('requests', 'refuse', 'request-1', '--reason', 'no')).toEqual([
    2,
    expect.stringMatching(/unknown arguments: .*refuse/),
  ])
})

test.each([70, 80, 120])(
  'the help of every command fits a window of %d columns, but for words that are longer',
  async (columns) => {
    for (const command of ['start', 'serve', 'budget', 'secrets', 'scan', 'resume', 'incidents', 'calls']) {
      const lines: string[] = []
      const out = (line: string) => void lines.push(...line.split('\n'))
      const terminal = { ...processTerminal(), columns, out }
      expect(await runCli([command, '--help'], {}, terminal)).toBe(0)
      expect(lines.length).toBeGreaterThan(5)
      expect(lines.filter((line) => line.length > columns && line.trim().includes(' '))).toEqual([])
    }
  },
)
