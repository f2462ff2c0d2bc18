/**
 * The shim in real Python processes. Each starts as the supervisor starts an agent: with python/shim first on PYTHONPATH.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'

const sdk = fileURLToPath(new URL('../../python', import.meta.url))
const shim = join(sdk, 'shim')
const folder = mkdtempSync(join(tmpdir(), 'shim-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(folder, 'home-'))
})

interface Run {
  stdout: string
  stderr: string
  status: number | null
}

/** Runs Python with the shim and, behind it, the folders that a user had on PYTHONPATH. */
function python(
  args: string[],
  { path = [] as string[], python: name = 'python3', cwd = home, env = {} as Record<string, string> } = {},
): Run {
  const PYTHONPATH = [shim, ...path].join(delimiter)
  const { stdout, stderr, status } = spawnSync(name, args, {
    cwd,
    env: { ...process.env, PYTHONPATH, PYTHONDONTWRITEBYTECODE: '1', ...env },
    encoding: 'utf8',
  })
  return { stdout: stdout.trim(), stderr: stderr.trim(), status }
}

function write(name: string, text: string): string {
  const file = join(home, name)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, text)
  return file
}

const evaluate = (code: string, options = {}) => python(['-c', `import json, sys\nprint(json.dumps(${code}))`], options)

describe('the shim', () => {
  test('the shim offers the SDK behind everything else and leaves no trace of itself on the path', () => {
    const mine = join(home, 'mine')
    mkdirSync(mine)
    const path = JSON.parse(evaluate('sys.path', { path: [mine] }).stdout) as string[]
    expect(path.at(-1)).toBe(sdk.replace(/\/$/, ''))
    expect(path).not.toContain(shim)
    expect(path[1]).toBe(mine)
    expect(python(['-c', 'import iron_cage; print(iron_cage.__file__)']).stdout).toBe(
      join(sdk, 'iron_cage/__init__.py'),
    )
  })

  test('the shim lets an SDK win that the user has put on the path', () => {
    write('lib/iron_cage.py', 'mine = True')
    expect(python(['-c', 'import iron_cage; print(iron_cage.mine)'], { path: [join(home, 'lib')] }).stdout).toBe('True')
  })

  test('the shim works in a virtual environment, where an installed SDK wins', () => {
    execFileSync('python3', ['-m', 'venv', '--without-pip', 'venv'], { cwd: home })
    const inVenv = { python: join(home, 'venv/bin/python') }
    const where = 'import iron_cage; print(iron_cage.__file__)'
    expect(python(['-c', where], inVenv).stdout).toBe(join(sdk, 'iron_cage/__init__.py'))
    const packages = JSON.parse(evaluate("__import__('sysconfig').get_path('purelib')", inVenv).stdout) as string
    writeFileSync(join(packages, 'iron_cage.py'), '')
    expect(python(['-c', where], inVenv).stdout).toBe(join(packages, 'iron_cage.py'))
  })

  test('the shim works for python -m, for a script, and for children of all kinds', () => {
    write('agent.py', 'import iron_cage; print(iron_cage.__name__)')
    expect(python(['-m', 'agent']).stdout).toBe('iron_cage')
    expect(python([join(home, 'agent.py')], { cwd: '/' }).stdout).toBe('iron_cage')
    const child = 'import subprocess, sys; subprocess.run([sys.executable, "-m", "agent"], check=True)'
    expect(python(['-c', child]).stdout).toBe('iron_cage')
    write(
      'spawning.py',
      [
        'import multiprocessing',
        'def name():',
        '    import iron_cage',
        '    print(iron_cage.__name__)',
        'if __name__ == "__main__":',
        '    for method in ("spawn", "fork"):',
        '        process = multiprocessing.get_context(method).Process(target=name)',
        '        process.start()',
        '        process.join()',
      ].join('\n'),
    )
    expect(python(['spawning.py']).stdout).toBe('iron_cage\niron_cage')
  })
})

describe('aiohttp', () => {
  const ours = { IRON_CAGE_URL: 'http://127.0.0.1:8080', https_proxy: 'http://run-1:cage@127.0.0.1:8080' }
  const AIOHTTP = `class ClientSession:
    def __init__(self, base=None, *, trust_env=False):
        self.trust_env = trust_env
`
  const trusts = (session: string, env: Record<string, string>) => {
    write('aiohttp/client.py', AIOHTTP)
    write('aiohttp/__init__.py', 'from .client import ClientSession')
    const code = `import sys, aiohttp; print(aiohttp.${session}.trust_env, len(sys.meta_path))`
    const { stdout, stderr } = python(['-c', code], { env })
    expect(stderr).toBe('')
    return stdout.split(' ')
  }

  test('aiohttp uses the proxy of its variables where that is the server, unless the program says otherwise', () => {
    const [byDefault, finders] = trusts('ClientSession()', ours)
    expect(byDefault).toBe('True')
    expect(trusts('ClientSession(trust_env=False)', ours)[0]).toBe('False')
    expect(trusts('ClientSession()', { ...ours, https_proxy: '' })).toEqual(['False', finders])
    expect(trusts('ClientSession()', { ...ours, https_proxy: 'http://proxy.example.com:3128' })[0]).toBe('False')
  })

  test('a version of aiohttp that the shim does not know is left as it is, with a warning', () => {
    write('aiohttp/client.py', 'ClientSession = None')
    write('aiohttp/__init__.py', '')
    const { status, stderr } = python(['-c', 'import aiohttp.client'], { env: ours })
    expect(status).toBe(0)
    expect(stderr).toMatch(/^iron_cage: aiohttp does not use the proxy: AttributeError/)
  })
})

describe('another sitecustomize', () => {
  test('another sitecustomize runs as if it were alone, and keeps the name', () => {
    write('theirs/sitecustomize.py', 'import sys; sys.theirs = __file__')
    const code = "[sys.theirs, sys.modules['sitecustomize'].__file__]"
    const { stdout, stderr } = evaluate(code, { path: [join(home, 'theirs')] })
    const file = join(home, 'theirs/sitecustomize.py')
    expect([JSON.parse(stdout), stderr]).toEqual([[file, file], ''])
  })

  test('another sitecustomize may be a shim of another Iron Cage, and both make room', () => {
    const other = join(home, 'other/shim')
    mkdirSync(other, { recursive: true })
    execFileSync('cp', [join(shim, 'sitecustomize.py'), other])
    const path = JSON.parse(evaluate('sys.path', { path: [other, shim] }).stdout) as string[]
    expect(path).not.toContain(other)
    expect(path).not.toContain(shim)
    expect(path.slice(-2)).toEqual([sdk.replace(/\/$/, ''), join(home, 'other')])
  })

  test.each([
    ['raises', 'raise RuntimeError("broken")', /the sitecustomize of this Python failed: RuntimeError: broken/],
    ['misses a module', 'import no_such_module', /ModuleNotFoundError: No module named 'no_such_module'/],
    ['is not Python', 'def', /SyntaxError/],
  ])('another sitecustomize that %s is a warning; the program runs and finds the SDK', (_, text, warning) => {
    write('theirs/sitecustomize.py', text)
    const { stdout, stderr, status } = evaluate("[__import__('iron_cage').__name__, 'sitecustomize' in sys.modules]", {
      path: [join(home, 'theirs')],
    })
    expect([JSON.parse(stdout), status]).toEqual([['iron_cage', true], 0])
    expect(stderr).toMatch(warning)
    expect(stderr.split('\n').length).toBe(1)
  })

  test('another sitecustomize that ends the process ends it as it does without us', () => {
    write('theirs/sitecustomize.py', 'print("theirs", flush=True)\nraise SystemExit(7)')
    const args = ['-c', 'print("not reached")']
    const alone = spawnSync('python3', args, {
      env: { ...process.env, PYTHONPATH: join(home, 'theirs') },
      encoding: 'utf8',
    })
    expect(python(args, { path: [join(home, 'theirs')] })).toMatchObject({ stdout: 'theirs', status: alone.status })
    expect(alone.status).not.toBe(0)
  })

  test('another sitecustomize is not missed when there is none', () => {
    expect(evaluate('1')).toEqual({ stdout: '1', stderr: '', status: 0 })
    // Debian has one in the standard library, so the path is the shim's alone, which -S leaves to be loaded by hand.
    const code = `import sys; sys.path[:] = [${JSON.stringify(shim)}]; import sitecustomize; print(sitecustomize.__file__)`
    expect(python(['-S', '-c', code])).toEqual({ stdout: join(shim, 'sitecustomize.py'), stderr: '', status: 0 })
  })
})

describe('the cost of the shim', () => {
  test('the shim loads no module that Python had not loaded', () => {
    const loaded = (PYTHONPATH: string) =>
      execFileSync('python3', ['-c', 'import sys; print(*sorted(sys.modules))'], {
        env: { ...process.env, PYTHONPATH },
        encoding: 'utf8',
      })
        .trim()
        .split(' ')
        .filter((name) => name !== 'sitecustomize')
    expect(loaded(shim)).toEqual(loaded(''))
  })

  test('the load times of the shim and the SDK are printed', () => {
    const { stderr } = python(['-X', 'importtime', '-c', 'import iron_cage'])
    const microseconds = (name: string) =>
      // The last line of a name is the outermost module: the shim comes after the one it chains to.
      Number([...stderr.matchAll(new RegExp(`\\|\\s+(\\d+) \\|\\s+${name}$`, 'gm'))].at(-1)?.[1] ?? Number.NaN)
    const [boot, load] = [microseconds('sitecustomize'), microseconds('iron_cage')]
    console.log(`shim ${boot / 1000} ms, import iron_cage ${load / 1000} ms (without compiled files)`)
    expect([boot, load].every(Number.isFinite)).toBe(true)
  })
})
