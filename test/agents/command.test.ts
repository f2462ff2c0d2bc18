import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { chooseCommand } from '../../src/agents/command.ts'
import { CageError } from '../../src/core/errors.ts'
import { newFolder, openAgents } from '../support/agents.ts'

let folder: string

beforeEach(() => {
  folder = newFolder()
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A file in the test's folder. */
function file(path: string, mode = 0o644): string {
  const whole = join(folder, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, '')
  chmodSync(whole, mode)
  return whole
}

const choose = (script: string, part: { python?: string; environment?: Record<string, string>; cwd?: string } = {}) =>
  chooseCommand({
    environment: {},
    cwd: folder,
    python: undefined,
    ...part,
    target: { kind: 'script', name: script, path: script },
    args: ['--fast'],
  })

function refused(...given: Parameters<typeof choose>): CageError {
  try {
    choose(...given)
  } catch (error) {
    return error as CageError
  }
  throw new Error('nothing was refused')
}

describe('the interpreter of a Python script', () => {
  it('the interpreter of a Python script is the one the user named, as a path or on PATH', () => {
    const script = file('agent.py')
    const mine = file('bin/mine', 0o755)
    expect(choose(script, { python: mine })).toEqual({ program: mine, args: [script, '--fast'] })
    expect(choose(script, { python: 'mine', environment: { PATH: `/nowhere:${dirname(mine)}` } }).program).toBe(mine)
  })

  it('without a named interpreter the active virtual environment comes first, then .venv or venv beside the script, then python3', () => {
    const script = file('agent.py')
    const onPath = file('bin/python3', 0o755)
    const environment = { PATH: dirname(onPath), VIRTUAL_ENV: join(folder, 'active') }
    expect(choose(script, { environment }).program).toBe(onPath)
    for (const name of ['venv', '.venv']) {
      const beside = file(`${name}/bin/python`, 0o755)
      expect(choose(script, { environment }).program).toBe(beside)
    }
    const active = file('active/bin/python', 0o755)
    expect(choose(script, { environment }).program).toBe(active)
  })

  it('a pyenv shim is resolved to the version in the variable, the nearest .python-version, or its own', () => {
    const script = file('agent.py')
    const system = file('system/python3', 0o755)
    const shim = file('.pyenv/shims/python3', 0o755)
    const of = (version: string) => file(`.pyenv/versions/${version}/bin/python3`, 0o755)
    const [old, newer, newest] = [of('3.9.18'), of('3.12.9'), of('3.12.10')]
    const environment = { PATH: `${dirname(shim)}:${dirname(system)}` }
    const cwd = dirname(file('project/deep/nothing'))
    const chosen = (more = {}) => choose(script, { cwd, environment: { ...environment, ...more } }).program
    expect(chosen()).toBe(system)
    writeFileSync(file('.pyenv/version'), '3.9.18\n')
    expect(chosen()).toBe(old)
    writeFileSync(file('project/.python-version'), '# none\n3.11\n3.12\n')
    expect(chosen()).toBe(newest)
    expect(chosen({ PYENV_VERSION: '3.12.9:3.9.18' })).toBe(newer)
    // None of these leads out of pyenv's folder.
    expect(chosen({ PYENV_VERSION: '../../project' })).toBe(shim)
    rmSync(join(folder, 'project/.python-version'))
    execFileSync('mkfifo', [join(folder, 'project/.python-version')])
    expect(chosen()).toBe(old)
  })

  it.each(['pyproject.toml', 'uv.lock', 'poetry.lock'])(
    'the interpreter of a Python script is that of the project whose root has %s, however deep the script lies',
    (name) => {
      const script = file('project/src/app/agent.py')
      const python = file('project/.venv/bin/python', 0o755)
      const environment = { PATH: dirname(file('bin/python3', 0o755)) }
      expect(choose(script, { environment, cwd: join(folder, 'elsewhere') }).program).not.toBe(python)
      file(`project/${name}`)
      expect(choose(script, { environment, cwd: join(folder, 'elsewhere') }).program).toBe(python)
    },
  )

  it('a member of a workspace uses the interpreter of the workspace, unless its own project has one', () => {
    const script = file('work/member/agent.py')
    for (const name of ['work/pyproject.toml', 'work/member/pyproject.toml']) file(name)
    const shared = file('work/.venv/bin/python', 0o755)
    expect(choose(script).program).toBe(shared)
    const own = file('work/member/.venv/bin/python', 0o755)
    expect(choose(script).program).toBe(own)
  })

  it('the interpreter of a Python script is that of the working folder for a script elsewhere', () => {
    const script = file('scripts/agent.py')
    const python = file('.venv/bin/python', 0o755)
    expect(choose(script).program).toBe(python)
  })

  it('the interpreter of a Python script is not searched for in relative folders of PATH', () => {
    const script = file('agent.py')
    expect(() => choose(script, { environment: { PATH: '.:test/agents' } })).toThrow('python3 on PATH')
  })

  it('a missing interpreter is an error that names every searched place', () => {
    const script = file('project/agent.py')
    const environment = { VIRTUAL_ENV: join(folder, 'active') }
    const usual = ['active', 'project/.venv', 'project/venv', '.venv', 'venv'].map((name) =>
      join(folder, name, 'bin/python'),
    )
    const hint = 'install Python 3, or choose an interpreter: --python .venv/bin/python'
    for (const [part, tried] of [
      [{ environment }, `${usual.join(', ')}, python3 on PATH`],
      [{ python: 'python4' }, 'python4 on PATH'],
      [{ python: './no/python' }, resolve('no/python')],
    ] as const) {
      expect(refused(script, part)).toMatchObject({ message: `no Python can be run: tried ${tried}`, hint })
    }
  })

  it.each(['project/.venv', 'project/venv', '.venv', 'venv'])('the one in %s is suggested then', (place) => {
    const script = file('project/agent.py')
    const python = file(`${place}/bin/python`, 0o755)
    expect(refused(script, { python: './no/python' }).hint).toBe(`there is one here: --python ${python}`)
  })
})

describe('other programs', () => {
  it.each(['agent.js', 'agent.mjs', 'agent.ts'])('%s runs on Node', (name) => {
    const script = file(name)
    expect(choose(script)).toEqual({ program: process.execPath, args: [script, '--fast'] })
  })

  it('anything executable runs as it is', () => {
    const script = file('agent', 0o755)
    expect(choose(script)).toEqual({ program: script, args: ['--fast'] })
  })

  it('other programs really run', async () => {
    const agents = openAgents()
    for (const name of ['executable.sh', 'on_node.mjs']) {
      const id = await agents.start(name, { args: ['it'] })
      expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed', exitCode: 0 })
    }
    expect(agents.lines()).toEqual(['ran with it', 'ran on node it'])
  })
})

describe('a program that cannot be started is refused before anything runs', () => {
  const refusals = [
    { name: 'a missing script', script: () => join(folder, 'no.py'), code: 'script_not_found', exit: 127 },
    { name: 'a script below a file', script: () => join(file('a'), 'b.py'), code: 'script_not_found', exit: 127 },
    { name: 'a link to nothing', script: () => link('gone.py'), code: 'script_not_found', exit: 127 },
    { name: 'a link to itself', script: () => link('agent.py'), code: 'script_not_found', exit: 127 },
    { name: 'a name that is too long', script: () => `/${'x'.repeat(300)}.py`, code: 'script_not_found', exit: 127 },
    { name: 'a directory', script: () => folder, code: 'not_executable', exit: 126 },
    {
      name: 'a directory named like a script',
      script: () => dirname(file('d.py/x')),
      code: 'not_executable',
      exit: 126,
    },
    { name: 'a file without permission to execute', script: () => file('agent'), code: 'not_executable', exit: 126 },
    {
      name: 'a missing interpreter',
      script: () => file('agent.py'),
      code: 'interpreter_not_found',
      exit: 127,
      python: '/no',
    },
    {
      name: 'an interpreter that is none',
      script: () => file('agent.py'),
      code: 'interpreter_not_found',
      exit: 127,
      python: '/',
    },
    {
      name: 'a folder that is none',
      script: () => file('agent.py'),
      code: 'invalid_config',
      exit: 2,
      cwd: '/no/folder',
    },
  ] as const

  it.each(refusals)('$name: $code, exit $exit', async (row) => {
    const settings = { ...('python' in row && { python: row.python }), ...('cwd' in row && { cwd: row.cwd }) }
    const agents = openAgents({ config: { agent: settings } })
    const error = await agents.supervisor.start({ script: row.script() }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CageError)
    expect(error).toMatchObject({ code: row.code, row: { exit: row.exit }, hint: expect.stringMatching(/./) })
    expect((error as CageError).facts.path).toMatch(/^\//)
    expect(agents.events).toEqual([])
    expect(agents.tokens.valid).toEqual([])
  })

  it.runIf(process.getuid?.() === 0)('a script this user may not read: not_executable', () => {
    const script = file('agent.py', 0o000)
    chmodSync(folder, 0o755)
    process.seteuid?.(65_534)
    try {
      expect(() => choose(script)).toThrow(`${script} cannot be read (EACCES)`)
    } finally {
      process.seteuid?.(0)
    }
  })

  const link = (to: string): string => {
    const path = join(folder, 'agent.py')
    symlinkSync(join(folder, to), path)
    return path
  }
})
