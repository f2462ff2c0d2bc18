/** Blocks and help fit the window. */
import { expect, test } from 'vitest'
import { runCli } from '../../src/cli/cli.ts'
import { tree } from '../../src/cli/print.ts'
import { processTerminal } from '../../src/cli/terminal.ts'
import { wrapLines } from '../../src/log/wrap.ts'

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
