/**
 * The whole life of an agent in a hostile project under strace: nothing that it could write is executed or loaded by a
 * process outside its sandbox, and only the server writes in its folder. A process is inside from the call on that
 * restricts it. Its first life plants everything; then come its crash, its restart with the launcher that was prepared,
 * its end, the next start, and the commands that a user types.
 */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  type Act,
  type Hostile,
  installPython,
  isReachedThrough,
  makeEnvironment,
  openHostile,
  outsideActs,
  STRACE,
  SYSTEM_PYTHON,
  writeLibraries,
} from '../support/hostile.ts'

interface Layout {
  /** Installs the agent's interpreter. Returns folders to put before PATH, and more variables. */
  install(hostile: Hostile): { path?: string[]; env?: Record<string, string> }
  /** (Default: agent.py.) */
  script?: string
}

const LAYOUTS: Record<string, Layout> = {
  venv: {
    install: ({ project }) => {
      makeEnvironment(join(project, '.venv'), SYSTEM_PYTHON)
      return {}
    },
  },
  'an active venv': {
    install: ({ project }) => {
      makeEnvironment(join(project, 'env'), SYSTEM_PYTHON)
      return { path: [join(project, 'env/bin')], env: { VIRTUAL_ENV: join(project, 'env') } }
    },
  },
  uv: {
    install: ({ project, home }) => {
      const base = installPython(join(home, '.local/share/uv/python/cpython-3.11.7-linux'))
      symlinkSync('cpython-3.11.7-linux', join(home, '.local/share/uv/python/cpython-3.11-linux'))
      makeEnvironment(join(project, '.venv'), base.replace('3.11.7', '3.11'))
      return { path: [join(home, '.local/bin')] }
    },
  },
  pyenv: {
    install: (hostile) => {
      const root = join(hostile.home, '.pyenv')
      installPython(join(root, 'versions/3.11.7'))
      hostile.write(join(root, 'version'), '3.11.7\n')
      const shim = `#!/bin/sh\nread -r version < .python-version || read -r version < ${root}/version\nexec "${root}/versions/$version/bin/\${0##*/}" "$@"\n`
      for (const name of ['python', 'python3']) hostile.write(join(root, 'shims', name), shim, 0o755)
      hostile.write('.python-version', '3.11.7\n')
      return { path: [join(root, 'shims')] }
    },
  },
  conda: {
    install: (hostile) => {
      const prefix = join(hostile.project, 'conda')
      installPython(prefix)
      hostile.write('conda/conda-meta/history', '')
      return { path: [join(prefix, 'bin')], env: { CONDA_PREFIX: prefix } }
    },
  },
  npx: {
    script: 'agent.mjs',
    install: (hostile) => {
      hostile.write('node_modules/.bin/tool', '#!/bin/sh\n', 0o755)
      hostile.write('package.json', '{"type":"module"}')
      return { path: [join(hostile.project, 'node_modules/.bin')] }
    },
  },
  'npx, nothing installed': {
    script: 'agent.mjs',
    install: ({ project }) => ({ path: [join(project, 'node_modules/.bin')] }),
  },
}

const TOOLS = [
  'python',
  'python3',
  basename(SYSTEM_PYTHON),
  'node',
  'sh',
  'git',
  'stty',
  'ps',
  'grep',
  'docker',
  'podman',
  'xdg-open',
  'iron-cage',
]
const FOLDERS = ['.venv/bin', 'venv/bin', 'env/bin', 'conda/bin', 'node_modules/.bin', 'bin', '.iron-sandbox/bin', '.']
const LIBRARY_FOLDERS = ['.venv', 'venv', 'env', 'conda'].map((name) => `${name}/lib/${basename(SYSTEM_PYTHON)}`)

/** Does all that it can in its first life, crashes, waits in its second until the next launcher is there, and crashes. */
const plantingAgent = (hostile: Hostile, fake: string) => `import glob, os, shutil, sys, time
def attempt(act, *args):
    try: act(*args)
    except OSError: pass
def put(path, text, mode=0o644):
    attempt(os.unlink, path)
    attempt(os.makedirs, os.path.dirname(path) or ".")
    try:
        with open(path, "w") as file: file.write(text)
        os.chmod(path, mode)
    except OSError: pass
script = ${JSON.stringify(hostile.escapingScript)}
module = open("escape.py").read()
life = len(glob.glob("life-*"))
open("life-%d" % life, "w").close()
if life == 0:
    for folder in ${JSON.stringify(FOLDERS)}:
        for name in ${JSON.stringify(TOOLS)}: put(folder + "/" + name, script, 0o755)
        put(folder + "/pyvenv.cfg", "home = ${fake}\\n")
        put(folder + "/python3._pth", "${fake}\\n")
    for name in (".venv", "venv", "env", "conda"): put(name + "/pyvenv.cfg", "home = ${fake}\\n")
    for folder in ${JSON.stringify(LIBRARY_FOLDERS)}:
        put(folder + "/os.py", module)
        put(folder + "/encodings/__init__.py", module)
        put(folder + "/site-packages/evil.pth", "import escape\\n${hostile.home}/secret\\n")
        put(folder + "/site-packages/sitecustomize.py", module)
        attempt(os.mkfifo, folder + "/site-packages/fifo.pth")
    for name in ("json", "iron_sandbox", "sitecustomize", "usercustomize", "_socket"): put(name + ".py", module)
    attempt(os.mkfifo, "fifo.py")
    put(".python-version", "../../project/conda")
    for name in (".npmrc", "package.json", "node_modules/zod/index.js"): put(name, "{}")
    attempt(os.makedirs, ".git")
    attempt(os.mkfifo, ".git/config")
    attempt(shutil.rmtree, ".iron-sandbox")
    attempt(os.symlink, "${hostile.home}", ".iron-sandbox")
    sys.exit(1)
if life == 1:
    time.sleep(1.5)
    attempt(os.rename, ".iron-sandbox", "was")
    attempt(os.mkfifo, ".iron-sandbox")
    sys.exit(1)
`

/**
 * The server's own files, and those that it reads as data: an agent that changed them has not changed the code that
 * runs.
 */
const OF_THE_SERVER = /^(iron_state\.db.*|iron_logs(\/.*)?|iron-cage\.(ya?ml|toml)|\.iron-cage(\/.*)?|agent\.(py|mjs))$/

/**
 * Data of the server's, folders, files that it moves aside, and opens that neither an interpreter nor a loader makes.
 */
const isHarmless = ({ program, path, call, flags }: Act, { project }: Hostile) =>
  OF_THE_SERVER.test(relative(project, path)) ||
  (call === 'openat' && /O_DIRECTORY|O_PATH|O_NONBLOCK/.test(flags) && !flags.includes('O_CREAT')) ||
  (call === 'rename' && /^, ".*\.planted(-\d+)?"/.test(flags)) ||
  // The facts of a deployment are read from the agent's source.
  (call === 'openat' && program === process.execPath && path.endsWith('.py')) ||
  path === project

async function traced(hostile: Hostile, words: readonly string[], env: Record<string, string>, until?: RegExp) {
  const file = join(hostile.home, `trace-${words[0]}-${Math.random()}`)
  const { out } = await hostile.run(words, { env, until, under: [...STRACE, '-o', file] })
  const acts = outsideActs(readFileSync(file, 'utf8'))
  // Everything was seen: the program itself, and the launcher where one is needed.
  expect(acts.length, out).toBeGreaterThan(20)
  const suspicious = acts.filter((act) => isReachedThrough(act.path, hostile.project) && !isHarmless(act, hostile))
  return {
    out,
    suspicious: suspicious.map(({ call, path, flags }) => `${words[0]}: ${call} ${path} ${flags.slice(0, 60)}`),
  }
}

describe.runIf(process.platform === 'linux')('outside its sandbox, nothing runs that an agent could write', () => {
  const cases = Object.keys(LAYOUTS).flatMap((name) => ['standard', 'strict'].map((level) => [name, level] as const))

  test.concurrent.for(cases)('%s, %s', async ([name, level], { onTestFinished }) => {
    const { install, script = 'agent.py' } = LAYOUTS[name]!
    const hostile = openHostile(onTestFinished)
    const { path = [], env: more = {} } = install(hostile)
    const fake = writeLibraries(hostile)
    hostile.write('plant.py', plantingAgent(hostile, fake))
    hostile.write(
      'agent.py',
      `${readFileSync(join(hostile.project, 'plant.py'), 'utf8')}\ndef predict(inputs):\n    import fifo\n`,
    )
    hostile.write(
      'agent.mjs',
      `import { spawnSync } from 'node:child_process'\nprocess.exitCode = spawnSync('${SYSTEM_PYTHON}', ['plant.py'], { stdio: 'inherit' }).status\n`,
    )
    const LD_LIBRARY_PATH = join(hostile.project, 'lib')
    mkdirSync(LD_LIBRARY_PATH)
    const settings = { agent: { sandbox: { level, allow: ['listen'] }, env: { LD_LIBRARY_PATH }, restart: { max: 2 } } }
    hostile.write('iron-cage.yaml', JSON.stringify(settings))
    const env = { PATH: [...path, '/usr/local/bin', '/usr/bin', '/bin'].join(':'), DISPLAY: ':0', ...more }
    const start = ['start', script, '--port', '0']

    const lives = [
      await traced(hostile, start, env),
      await traced(hostile, [...start, '--open', '--keep'], env, /Dashboard/),
      await traced(hostile, ['doctor'], env),
      await traced(hostile, ['complete', 'bash', 'iron-cage', 'st'], env),
      await traced(hostile, ['deploy', 'plan', 'agent.py'], env),
      await traced(
        hostile,
        ['deploy', 'up', 'agent.py', '--strategy', 'local', '--port', '0'],
        env,
        /ready for calls|✖/,
      ),
    ]
    expect(
      lives.flatMap(({ suspicious }) => suspicious),
      lives.map(({ out }) => out).join('\n'),
    ).toEqual([])
    expect(hostile.hasEscaped()).toBe(false)
  })
})
