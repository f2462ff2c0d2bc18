/**
 * The parts of a model's answers that are used to choose a strategy and adapt its files, and the display of its
 * changes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { CageError } from '../../src/core/errors.ts'
import { judge } from '../../src/deploy/choice.ts'
import { readAgentFacts } from '../../src/deploy/facts.ts'
import { type Placeholders, planDeployment } from '../../src/deploy/plan.ts'
import {
  adaptationQuestion,
  diffLines,
  readAdaptation,
  readSelection,
  selectionQuestion,
} from '../../src/deploy/selector.ts'
import { findStrategies, requireStrategy } from '../../src/deploy/strategies.ts'

const strategies = findStrategies('/nowhere')
const place = mkdtempSync(join(tmpdir(), 'iron-cage-selector-'))
afterAll(() => rmSync(place, { recursive: true }))
writeFileSync(join(place, 'agent.py'), 'import openai\ndef predict(inputs): ...\n')
const agent = readAgentFacts(join(place, 'agent.py'))
const candidates = judge(strategies.usable, agent, { variables: { PATH: '' }, hasModule: () => false })
const VALUES: Placeholders = {
  ...{
    name: 'agent',
    script: '/s/agent.py',
    file: 'agent.py',
    source: '/s',
    callable: 'predict',
    folder: '/out',
    port: '1',
  },
  ...{ python: 'python3', sdk: '/sdk', container: 'podman', budget: '5', gpu: '', env: '' },
}
const planOf = (name: string) => planDeployment(requireStrategy(strategies, name), agent, VALUES, [])

const errorOf = (run: () => unknown): string => {
  try {
    return `it took ${JSON.stringify(run())}`
  } catch (error) {
    return (error as CageError).message
  }
}

test('a model is given the instructions of every candidate, the facts and the source', () => {
  const { user } = selectionQuestion(agent, 'THE SOURCE', candidates)
  for (const { strategy } of candidates) expect(user).toContain(strategy.selectorInstruction.trim())
  expect(user).toContain('needs module: bentoml')
  expect(user).toContain('imports openai')
  expect(user).toContain('THE SOURCE')
  const plan = planOf('docker')
  const asked = adaptationQuestion(agent, 'THE SOURCE', plan).user
  expect(asked).toContain(plan.strategy.adapterInstruction.trim())
  expect(asked).toContain(plan.files.get('Dockerfile'))
})

test('a choice is taken with its reason, also from a block of Markdown, without control characters', () => {
  const reply = '```json\n{"strategy": "local", "reason": "it is \\u001b[31mred"}\n```\n'
  expect(readSelection(reply, candidates)).toEqual({
    chosen: candidates.find(({ strategy }) => strategy.name === 'local'),
    reason: 'it is �[31mred',
  })
})

test.each([
  ['', 'it is not JSON'],
  ['local', 'it is not JSON'],
  ['{"strategy": "saturn", "reason": "far"}', '"saturn" is none of '],
  ['{"strategy": "local"}', 'reason'],
  ['{"strategy": "local", "reason": "r", "command": "rm"}', 'command'],
  [`{"strategy": "local", "reason": "${'x'.repeat(501)}"}`, 'reason'],
])('a choice such as %j is refused', (reply, why) => {
  expect(errorOf(() => readSelection(reply, candidates))).toContain(why)
})

test('changes are taken for files of the plan, new files beside them and copies of the agent', () => {
  const plan = planOf('docker')
  const files = {
    Dockerfile: 'FROM mine\n',
    'conf/new.toml': 'a = 1\n',
    'agent/requirements.txt': 'openai\n',
  }
  expect(readAdaptation(JSON.stringify({ files }), plan)).toEqual(new Map(Object.entries(files)))
  const same = { Dockerfile: plan.files.get('Dockerfile') }
  expect(readAdaptation(JSON.stringify({ files: same }), plan)).toEqual(new Map())
  expect(readAdaptation('{"files": {}}', plan)).toEqual(new Map())
})

test.each([
  '../agent.py',
  '/etc/passwd',
  'agent/../../agent.py',
  '.env',
  'conf/.env',
  'agent\\..\\x',
  'a//b',
  '',
  'iron-cage',
  'deployment.json',
  'server.key',
  'agent/iron_state.db.server',
  'node_modules/x.js',
])('a change of %j is refused', (path) => {
  const reply = JSON.stringify({ files: { [path]: 'x' } })
  expect(errorOf(() => readAdaptation(reply, planOf('docker')))).toContain('is no file that it may write')
})

test('copies are changed only where the plan has some, and neither many nor large files are taken', () => {
  const take = (files: Record<string, string>, name = 'docker') =>
    errorOf(() => readAdaptation(JSON.stringify({ files }), planOf(name)))
  expect(take({ 'agent/agent.py': 'x' }, 'local')).toContain('is no file that it may write')
  expect(take({ 'a.txt': 'x'.repeat(40_001) })).toContain('cannot be used')
  expect(take(Object.fromEntries(Array.from({ length: 11 }, (_, at) => [`f${at}`, ''])))).toContain('at most 10 files')
})

test('a change is shown with its neighbors, and without control characters', () => {
  const before = Array.from({ length: 20 }, (_, at) => `line ${at}`)
  const after = before.with(10, 'line \u001b[2J')
  expect(diffLines('a.txt', before.join('\n'), after.join('\n'))).toEqual([
    'changed a.txt',
    ...[' line 7', ' line 8', ' line 9', '-line 10', '+line �[2J', ' line 11', ' line 12', ' line 13', '…'],
  ])
  expect(diffLines('b.txt', undefined, 'x\ny')).toEqual(['new file b.txt', '+x', '+y'])
})
