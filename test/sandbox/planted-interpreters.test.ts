/** Interpreters that an agent may write: none of them ever runs outside its sandbox. */
import { copyFileSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Hostile, makeEnvironment, openHostile, SYSTEM_PYTHON, writeLibraries } from '../support/hostile.ts'

const isLinux = process.platform === 'linux'
const start = (script: string, ...more: string[]) => ['start', script, '--port', '0', ...more]
const LEVELS = ['auto', 'standard', 'strict'] as const

/** A Python agent whose lives are the items of `lives`, each a program; after the last it ends well. */
function agentOf(hostile: Hostile, ...lives: string[]): void {
  const text = lives.map((life, index) => `if life == ${index}:\n${life.replaceAll(/^/gm, '    ')}\n`).join('')
  hostile.write(
    'agent.py',
    `import os, shutil, sys, time
life = len([name for name in os.listdir(".") if name.startswith("life-")])
open("life-%d" % life, "w").close()
def attempt(act, *args):
    try: act(*args)
    except OSError as error: print("refused:", error.strerror, flush=True)
def put(path, text, mode=0o755):
    attempt(os.unlink, path)
    attempt(os.makedirs, os.path.dirname(path))
    try:
        with open(path, "w") as file: file.write(text)
        os.chmod(path, mode)
    except OSError as error: print("refused:", error.strerror, flush=True)
${text}`,
  )
}
const script = (hostile: Hostile) => JSON.stringify(hostile.escapingScript)

describe.runIf(isLinux).each(LEVELS)('at %s, an interpreter of the agent that it may write', (level) => {
  const sandbox = ['--sandbox', level]

  test('a planted interpreter is not run outside by the restart after a crash', async () => {
    const hostile = openHostile()
    makeEnvironment(join(hostile.project, '.venv'), SYSTEM_PYTHON)
    agentOf(hostile, `put(".venv/bin/python", ${script(hostile)})\nsys.exit(1)`)
    const { out } = await hostile.run(start('agent.py', ...sandbox))
    expect(existsSync(join(hostile.project, 'life-1')), out).toBe(true)
    expect(hostile.hasEscaped(), out).toBe(false)
    expect(lstatSync(join(hostile.project, '.venv/bin/python')).isSymbolicLink()).toBe(true)
    expect(out).toContain('refused: Read-only file system')
  })

  test('a planted interpreter is not run outside by the launcher that is prepared while it runs', async () => {
    const hostile = openHostile()
    makeEnvironment(join(hostile.project, '.venv'), SYSTEM_PYTHON)
    agentOf(hostile, `put(".venv/bin/python", ${script(hostile)})\ntime.sleep(2.5)`)
    const { code, out } = await hostile.run(start('agent.py', ...sandbox))
    expect(code, out).toBe(0)
    expect(hostile.hasEscaped(), out).toBe(false)
  })

  test('a planted interpreter names no libraries for a program outside, in pyvenv.cfg', async () => {
    const hostile = openHostile()
    makeEnvironment(join(hostile.project, '.venv'), SYSTEM_PYTHON)
    const fake = writeLibraries(hostile)
    agentOf(hostile, `put(".venv/pyvenv.cfg", "home = ${fake}\\n")\nsys.exit(1)`)
    const { out } = await hostile.run(start('agent.py', ...sandbox))
    expect(existsSync(join(hostile.project, 'life-1')), out).toBe(true)
    expect(hostile.hasEscaped(), out).toBe(false)
  })

  test.each(['.venv', 'venv'])(
    'a planted interpreter in %s is moved aside, and the next start runs nothing of it',
    async (name) => {
      const hostile = openHostile()
      const make = `put("${name}/bin/python", ${script(hostile)})\nput("${name}/pyvenv.cfg", "home = /usr/bin")`
      agentOf(hostile, make)
      const first = await hostile.run(start('agent.py', ...sandbox))
      expect(existsSync(join(hostile.project, name)), first.out).toBe(false)
      expect(existsSync(join(hostile.project, `${name}.planted`)), first.out).toBe(true)
      const { out } = await hostile.run(start('agent.py', ...sandbox))
      expect(hostile.hasEscaped(), out).toBe(false)
    },
  )

  test('an interpreter that an agent left when its server was killed does not run before a person trusts it', async () => {
    const hostile = openHostile()
    agentOf(
      hostile,
      `put(".venv/pyvenv.cfg", "home = /usr/bin")\nos.makedirs(".venv/bin")\nos.symlink("${SYSTEM_PYTHON}", ".venv/bin/python")\nprint("made", flush=True)\ntime.sleep(600)`,
      'print("it runs", sys.executable, flush=True)',
    )
    await hostile.run(start('agent.py', ...sandbox), { until: /made/, signal: 'SIGKILL' })
    const { code, out } = await hostile.run(start('agent.py', ...sandbox))
    expect({ code, out }).toMatchObject({
      code: 4,
      out: expect.stringContaining('created or changed while an agent could write'),
    })
    for (const file of ['.venv/pyvenv.cfg', '.venv/bin/python']) {
      expect(await hostile.run(['config', 'trust', file])).toMatchObject({ code: 0 })
    }
    const trusted = await hostile.run(start('agent.py', ...sandbox))
    expect(trusted.out).toContain(`it runs ${hostile.project}/.venv/bin/python`)
  })

  test('a planted interpreter is not reached by a link in the place of its environment', async () => {
    const hostile = openHostile()
    makeEnvironment(join(hostile.home, 'other/.venv'), SYSTEM_PYTHON)
    agentOf(hostile, `os.symlink("${hostile.home}/other/.venv", ".venv")\nprint("made", flush=True)\ntime.sleep(600)`)
    await hostile.run(start('agent.py', ...sandbox), { until: /made/, signal: 'SIGKILL' })
    const { code, out } = await hostile.run(start('agent.py', ...sandbox))
    expect({ code, out }).toMatchObject({ code: 4, out: expect.stringContaining('created or changed while an agent') })
  })

  test('a planted interpreter before the system on PATH does not build the sandbox', async () => {
    const hostile = openHostile()
    const bin = join(hostile.project, 'node_modules/.bin')
    mkdirSync(bin, { recursive: true })
    copyFileSync(SYSTEM_PYTHON, join(bin, 'python3'))
    const fake = writeLibraries(hostile)
    hostile.write('node_modules/.bin/pyvenv.cfg', `home = ${fake}\n`)
    hostile.write('agent.mjs', 'console.log("it runs")')
    const { code, out } = await hostile.run(start('agent.mjs', ...sandbox), {
      env: { PATH: `${bin}:/usr/bin:/bin` },
    })
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('it runs') })
    expect(hostile.hasEscaped(), out).toBe(false)
  })
})

describe.runIf(isLinux).each(['standard', 'strict'] as const)('the walls of level %s', (level) => {
  const sandbox = ['--sandbox', level]

  test('an agent cannot change an Iron Cage in its project, the links to it, or the packages beside it', async () => {
    const hostile = openHostile()
    for (const path of [
      'node_modules/iron-cage/dist/iron-cage.mjs',
      'node_modules/zod/index.js',
      'node_modules/.bin/tool',
    ]) {
      hostile.write(path, 'installed')
    }
    makeEnvironment(join(hostile.project, '.venv'), SYSTEM_PYTHON)
    hostile.write('.venv/bin/iron-cage', 'installed')
    symlinkSync('../iron-cage/dist/iron-cage.mjs', join(hostile.project, 'node_modules/.bin/iron-cage'))
    const paths = [
      'node_modules/iron-cage/dist/iron-cage.mjs',
      'node_modules/zod/index.js',
      'node_modules/.bin/tool',
      'node_modules/.bin/iron-cage',
      '.venv/bin/iron-cage',
    ]
    agentOf(
      hostile,
      `for path in ${JSON.stringify(paths)}: put(path, "changed")\nattempt(os.rename, "node_modules", "aside")\nattempt(os.rename, ".venv", "aside")`,
    )
    const { out } = await hostile.run(start('agent.py', ...sandbox))
    expect(
      paths.map((path) => readFileSync(join(hostile.project, path), 'utf8')),
      out,
    ).toEqual(paths.map(() => 'installed'))
    expect(lstatSync(join(hostile.project, 'node_modules/.bin/iron-cage')).isSymbolicLink()).toBe(true)
  })

  test('an agent cannot change folders of its project that are on PATH, but for those that are listed', async () => {
    const hostile = openHostile()
    hostile.write('tools/tool', 'installed')
    hostile.write('own/tool', 'installed')
    hostile.write('iron-cage.yaml', JSON.stringify({ agent: { sandbox: { write: ['./own'] } } }))
    agentOf(hostile, 'put("tools/tool", "changed")\nput("own/tool", "changed")')
    const PATH = [...['tools', 'own'].map((name) => join(hostile.project, name)), '/usr/bin', '/bin'].join(':')
    const { out } = await hostile.run(start('agent.py', ...sandbox), { env: { PATH } })
    expect(readFileSync(join(hostile.project, 'tools/tool'), 'utf8'), out).toBe('installed')
    expect(readFileSync(join(hostile.project, 'own/tool'), 'utf8'), out).toBe('changed')
  })

  test('an agent cannot change files outside by replacing the folder of its own home', async () => {
    const hostile = openHostile()
    mkdirSync(join(hostile.home, 'other'))
    agentOf(
      hostile,
      `attempt(shutil.rmtree, ".iron-sandbox")\nattempt(os.symlink, ${JSON.stringify(join(hostile.home, 'other'))}, ".iron-sandbox")\nsys.exit(1)`,
      'attempt(os.rename, ".iron-sandbox", "was")\nattempt(os.mkfifo, ".iron-sandbox")\nsys.exit(1)',
    )
    const { code, out } = await hostile.run(start('agent.py', ...sandbox))
    expect(existsSync(join(hostile.project, 'life-2')), out).toBe(true)
    expect(code, out).toBe(0)
    expect(existsSync(join(hostile.home, 'other/.gitignore'))).toBe(false)
    expect(lstatSync(join(hostile.project, '.iron-sandbox')).isDirectory()).toBe(true)
    expect(lstatSync(join(hostile.project, '.iron-sandbox.planted')).isSymbolicLink()).toBe(true)
  })
})

describe.runIf(isLinux)('a Python that an agent may write knowingly', () => {
  test("a knowingly writable Python is the agent's to change, and never runs outside", async () => {
    const hostile = openHostile()
    makeEnvironment(join(hostile.project, '.venv'), SYSTEM_PYTHON)
    hostile.write('iron-cage.yaml', JSON.stringify({ agent: { sandbox: { write: ['./.venv'] } } }))
    agentOf(hostile, `put(".venv/bin/python", ${script(hostile)})\nsys.exit(1)`)
    const env = { PATH: `${join(hostile.project, '.venv/bin')}:/usr/bin:/bin` }
    const { out } = await hostile.run(start('agent.py'), { env })
    expect(existsSync(join(hostile.project, 'life-1')), out).toBe(true)
    expect(lstatSync(join(hostile.project, '.venv/bin/python')).isSymbolicLink()).toBe(false)
    await hostile.run(['doctor'], { env })
    expect(hostile.hasEscaped(), out).toBe(false)
  })
})
