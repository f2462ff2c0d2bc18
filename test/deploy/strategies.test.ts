/** Strategies: the contents of their two files, the errors of broken ones, and the choice for an agent. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CageError } from '../../src/core/errors.ts'
import { isChoosable, judge, obstacles } from '../../src/deploy/choice.ts'
import { readAgentFacts } from '../../src/deploy/facts.ts'
import { planDeployment, writePlan } from '../../src/deploy/plan.ts'
import { findStrategies, requireStrategy } from '../../src/deploy/strategies.ts'
import { parseStrategy } from '../../src/deploy/strategy.ts'

const OURS = resolve(import.meta.dirname, '../../strategies')

const read = (name: string) => ({
  name,
  folder: join(OURS, name),
  selectorInstruction: readFileSync(join(OURS, name, 'selector_instruction.md'), 'utf8'),
  adapterInstruction: readFileSync(join(OURS, name, 'adapter_instruction.md'), 'utf8'),
})

function folder(files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'iron-cage-deploy-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
  }
  return path
}

const messageOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof CageError) return error.message
    throw error
  }
  return 'nothing was thrown'
}

describe('the strategies of the package', () => {
  test('the strategies of the package are the folders of strategies/, and none is broken', () => {
    const { usable, broken } = findStrategies('/nowhere')
    expect(broken).toEqual([])
    expect(usable.map(({ name }) => name)).toEqual(readdirSync(OURS).sort())
    expect(usable.length).toBeGreaterThanOrEqual(4)
  })

  test('a folder of the user replaces ours of the same name, and a broken one is named while the others work', () => {
    const { selectorInstruction, adapterInstruction } = read('local')
    const own = folder({
      'local/selector_instruction.md': selectorInstruction.replace('This machine', 'My machine'),
      'local/adapter_instruction.md': adapterInstruction,
      'mine/selector_instruction.md': selectorInstruction,
      'notes.txt': 'no strategy',
    })
    const found = findStrategies(own)
    expect(requireStrategy(found, 'local').provider).toBe('My machine')
    expect(found.broken.map(({ name }) => name)).toEqual(['mine'])
    expect(messageOf(() => requireStrategy(found, 'mine'))).toMatch(
      /mine is broken\n.*adapter_instruction\.md: cannot be read/,
    )
    expect(messageOf(() => requireStrategy(found, 'nobody'))).toContain('no strategy "nobody"')
    expect(requireStrategy(found, 'docker').name).toBe('docker')
  })
})

describe('the files of a strategy', () => {
  const { selectorInstruction, adapterInstruction } = read('docker')

  test.each([
    ...['Summary', 'Best For', 'Not For', 'Resources', 'Interface', 'Provider'].map(
      (section) => [section, 'selectorInstruction'] as const,
    ),
    ...['Deploy command', 'Run interface', 'Required structure', 'Examples'].map(
      (section) => [section, 'adapterInstruction'] as const,
    ),
  ])('the files of a strategy need the section %s', (section, file) => {
    const source = { ...read('docker'), [file]: read('docker')[file].replace(`## ${section}\n`, '## Something else\n') }
    expect(messageOf(() => parseStrategy(source))).toContain(`the section "## ${section}" is missing or empty`)
  })

  test('strategy files may have any line endings, and a heading in a code block begins no section', () => {
    const windows = selectorInstruction.replaceAll('\n', '\r\n')
    const fenced = adapterInstruction.replace('```sh\n', '```sh\n## Examples\n# a comment\n')
    const strategy = parseStrategy({ ...read('docker'), selectorInstruction: windows, adapterInstruction: fenced })
    expect(strategy.deployCommand).toEqual(parseStrategy(read('docker')).deployCommand)
    expect(strategy.notFor).toEqual(parseStrategy(read('docker')).notFor)
  })

  test('a fact that cannot be checked, an unknown key and an empty command are faults, all reported at once', () => {
    const source = {
      ...read('docker'),
      selectorInstruction: selectorInstruction.replace('`needs: gpu`', '`weather: sunny`'),
      adapterInstruction: adapterInstruction
        .replace('"type": "http"', '"type": "http", "retries": 3')
        .replace(/```sh\n\{container\} build[\s\S]*?```/, '```sh\n# nothing\n```'),
    }
    const message = messageOf(() => parseStrategy(source))
    expect(message).toContain('"weather: sunny" is no fact')
    expect(message).toContain('retries')
    expect(message).toContain('a code block with at least one command is missing')
  })
})

const NOWHERE = { variables: { PATH: '' }, hasModule: () => false }
const WITH_ALL = { variables: { PATH: '/usr/bin:/bin' }, hasModule: () => true }

describe('the facts of an agent', () => {
  test('the facts of an agent are its imports, also those of the modules beside it, and how it can be called', () => {
    const place = folder({
      'agent.py': 'import os, helper\nfrom openai import OpenAI\n\ndef predict(inputs):\n    return inputs\n',
      'helper.py': 'import numpy.linalg as la\nimport agent\n',
    })
    expect(readAgentFacts(join(place, 'agent.py'))).toMatchObject({
      language: 'python',
      interface: 'function',
      callable: 'predict',
      needsGpu: false,
      imports: new Set(['os', 'openai', 'numpy']),
    })
  })

  test.each([
    ['import langgraph\napp = StateGraph(S).compile()\n', 'graph', 'app'],
    ['import langgraph\nasync def run(inputs): ...\napp = g.compile()\n', 'function', 'run'],
    ['print("a script")\n', 'script', null],
    ['class A:\n    def predict(self, inputs): ...\n', 'script', null],
  ])('a program like %j is called as a %s', (source, kind, callable) => {
    const facts = readAgentFacts(join(folder({ 'a.py': source }), 'a.py'))
    expect([facts.interface, facts.callable]).toEqual([kind, callable])
  })
})

describe('the choice', () => {
  const strategies = findStrategies('/nowhere').usable
  const namesFor = (files: Readonly<Record<string, string>>, machine = WITH_ALL) =>
    judge(strategies, readAgentFacts(join(folder(files), 'a.py')), machine)

  test.each([
    ['a script', { 'a.py': 'import os\n' }, 'local'],
    ['a graph', { 'a.py': 'import langgraph\ng = x.compile()\n' }, 'langgraph'],
    ['a folder with a bentofile', { 'a.py': 'import bentoml\n', 'bentofile.yaml': '' }, 'bentoml'],
  ])('%s gets the strategy with the most matching facts', (_, files, name) => {
    expect(namesFor(files)[0]!.strategy.name).toBe(name)
  })

  test('a strategy that lacks a module or does not fit the agent comes last, with the reason', () => {
    const judged = namesFor({ 'a.py': 'import langgraph\ng = x.compile()\n' }, NOWHERE)
    expect(judged.filter(isChoosable).map(({ strategy }) => strategy.name)).toEqual(['local'])
    const langgraph = judged.find(({ strategy }) => strategy.name === 'langgraph')!
    expect(obstacles(langgraph)[0]).toContain('needs module: langgraph_cli')
    const bentoml = judged.find(({ strategy }) => strategy.name === 'bentoml')!
    expect(obstacles(bentoml).join()).toContain('not for interface: graph')
  })
})

describe('a plan', () => {
  const values = {
    ...{
      name: 'a',
      script: '/s/a.py',
      file: 'a.py',
      source: '/s',
      callable: 'predict',
      folder: '/s/out',
      port: '8000',
    },
    ...{ python: 'python3', sdk: '/sdk', container: 'podman', budget: '5', gpu: '', env: '--env A --env B' },
  }

  test('a plan fills the placeholders, and one for several words becomes several', () => {
    const place = folder({ 'a.py': '', '.env': 'A=1', 'iron_state.db': 'x', 'keys/my.key': 'x', 'data/leads.csv': 'x' })
    const plan = planDeployment(parseStrategy(read('docker')), readAgentFacts(join(place, 'a.py')), values, [])
    expect(plan.preparation).toEqual([
      ['podman', 'build', '--quiet', '--tag', 'iron-cage/a', '--file', '/s/out/Dockerfile', '/s/out'],
    ])
    expect(plan.command.join(' ')).toMatch(
      /^podman run .* --env A --env B iron-cage\/a deploy up \/agent\/a\.py .* --budget 5$/,
    )
    expect(plan.command).toContain('--env')
    expect(plan.agentFiles).toEqual(['a.py', 'data/leads.csv'])
  })

  test('copies no file of the server, wherever it keeps them, and none of a database', () => {
    const files = [
      'a.py',
      'iron_state.db.data-key',
      'iron_state.db.server',
      'state',
      'state.audit-key',
      'unlock',
      'logs/x.txt',
    ]
    const place = folder(Object.fromEntries(files.map((name) => [name, 'x'])))
    const own = ['state', 'state.audit-key', 'unlock', 'logs'].map((name) => join(place, name))
    const plan = planDeployment(parseStrategy(read('docker')), readAgentFacts(join(place, 'a.py')), values, own)
    expect(plan.agentFiles).toEqual(['a.py'])
  })

  test('a plan is not written when a file that would be copied holds a secret', () => {
    const place = folder({ 'a.py': `key = "sk-proj-${'a1B2'.repeat(12)}"\n` })
    const out = join(place, '.iron-cage/deploy/a')
    const facts = readAgentFacts(join(place, 'a.py'))
    const plan = planDeployment(parseStrategy(read('docker')), facts, { ...values, folder: out }, [])
    expect(messageOf(() => writePlan(plan, place, () => '/bin/true'))).toContain('a.py: a secret in the file')
    expect(readdirSync(place)).toEqual(['a.py'])
  })

  test("a placeholder that there is none of is refused, and a file of the agent's own has precedence", () => {
    const place = folder({ 'a.py': '', Dockerfile: 'FROM mine\n' })
    const facts = readAgentFacts(join(place, 'a.py'))
    const strategy = parseStrategy(read('docker'))
    expect(planDeployment(strategy, facts, values, []).files.get('Dockerfile')).toBe('FROM mine\n')
    const wrong = { ...strategy, deployCommand: [['run', '{nonsense}']] }
    expect(messageOf(() => planDeployment(wrong, facts, values, []))).toContain('there is no placeholder {nonsense}')
  })

  test('a plan needs the files that the strategy requires', () => {
    const place = folder({ 'a.py': '' })
    const strategy = { ...parseStrategy(read('local')), requiredStructure: ['fleet.toml'] }
    const message = messageOf(() => planDeployment(strategy, readAgentFacts(join(place, 'a.py')), values, []))
    expect(message).toContain(`local needs fleet.toml in ${place}`)
  })
})
