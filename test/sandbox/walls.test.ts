/**
 * Agents behind real walls, as the supervisor starts them. python/tests/sandbox tests the limits of the walls; these
 * tests are about life behind them. With TEST_SANDBOX=strict (or standard, observe) all of test/agents runs behind some
 * as well.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AgentFolders } from '../../src/config/agent-folders.ts'
import type { RuntimeEvent } from '../../src/core/events.ts'
import type { AgentId } from '../../src/core/id-types.ts'
import { launching } from '../../src/sandbox/cage.ts'
import { python } from '../support/agent-parts.ts'
import { type Agents, newFolder, openAgents, processesOf, program, untilNone } from '../support/agents.ts'

const LEVELS = ['observe', 'standard', 'strict'] as const
const CONFINED = ['standard', 'strict'] as const
const behind = (level: string, more: object = {}, agent: object = {}) => ({
  config: { agent: { restart: { enabled: false }, sandbox: { level, ...more }, ...agent } },
})
const isLinux = process.platform === 'linux'
/** A control group that can be stopped as one. */
const hasGroups = isLinux && groupsOf().length > 0

function groupsOf(): string[] {
  const { stdout } = spawnSync(python, [...launching(), '--explain', '--json'], { encoding: 'utf8' })
  return (JSON.parse(stdout) as { groups: string[] }).groups
}

async function listen(): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}

/** Prints nothing from a pause on, and goes on after it. */
async function expectStillWhilePaused(agents: Agents, id: AgentId): Promise<void> {
  await agents.event('agent.output')
  agents.supervisor.pause(id, 'a test')
  // All earlier output is read by the time that the second of these has passed.
  await new Promise((done) => setTimeout(done, 300))
  const paused = agents.count('agent.output')
  await new Promise((done) => setTimeout(done, 300))
  expect(agents.count('agent.output')).toBe(paused)
  agents.supervisor.resume(id, 'a test')
  await expect.poll(() => agents.count('agent.output')).toBeGreaterThan(paused)
}

describe.runIf(isLinux).each(LEVELS)('behind walls of level %s', (level) => {
  test.each(['on_node.mjs', 'executable.sh'])('%s runs and ends as it does without', async (name) => {
    const agents = openAgents(behind(level))
    const id = await agents.start(name)
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed', exitCode: 0 })
    expect(agents.state.read().agents[id]!.sandbox).toMatchObject({ level, why: null })
  })

  test('Node, which reserves more memory than it uses, runs within a small limit', async () => {
    const agents = openAgents(behind(level, { limits: { memory_mb: 256 } }))
    const id = await agents.start('on_node.mjs')
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed', exitCode: 0 })
  })

  test('a Node script starts with its own package and the packages above it, from any folder', async () => {
    const folder = newFolder()
    const script = join(folder, 'package/agents/agent.js')
    const installed = join(folder, 'package/node_modules/installed')
    for (const one of [dirname(script), installed]) mkdirSync(one, { recursive: true })
    writeFileSync(join(folder, 'package/package.json'), '{"type":"module"}')
    writeFileSync(join(installed, 'package.json'), '{"type":"module","exports":"./it.js"}')
    writeFileSync(join(installed, 'it.js'), 'export const said = "begins"')
    writeFileSync(script, 'import { said } from "installed"\nconsole.log(said)')
    mkdirSync(join(folder, 'work'))
    const agents = openAgents(behind(level, {}, { cwd: join(folder, 'work') }))
    const { agentId } = await agents.supervisor.start({ script })
    expect(await agents.supervisor.whenEnded(agentId)).toMatchObject({ state: 'completed', exitCode: 0 })
  })

  test('an agent stands still while it is paused, and goes on after', async () => {
    const agents = openAgents(behind(level))
    const id = await agents.start('count.py')
    await expectStillWhilePaused(agents, id)
    await agents.supervisor.stop(id)
    expect(agents.state.read().agents[id]).toMatchObject({ state: 'stopped' })
  })

  test.runIf(hasGroups)('a pause also holds processes that left the process group', async () => {
    const agents = openAgents(behind(level))
    const id = await agents.start('leave_behind.py')
    await expectStillWhilePaused(agents, id)
    agents.supervisor.pause(id, 'a test')
    await agents.supervisor.stop(id)
    expect(agents.state.read().agents[id]).toMatchObject({ state: 'stopped' })
  })

  test('nothing is left of its agents when the server is killed', async () => {
    const folder = newFolder()
    const server = spawn(
      process.execPath,
      [join(import.meta.dirname, '../support/agent-server.ts'), join(folder, 'state.db'), program('fork_setsid.py')],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TEST_SANDBOX: level } },
    )
    onTestFinished(() => void server.kill('SIGKILL'))
    const events: RuntimeEvent[] = []
    for await (const line of createInterface(server.stdout)) {
      events.push(JSON.parse(line) as RuntimeEvent)
      if (events.filter(({ message }) => message === 'away').length === 20) break
    }
    server.kill('SIGKILL')
    expect(await untilNone(() => processesOf(events.find(({ agent_id }) => agent_id)!.agent_id!))).toEqual([])
    openAgents({ folder })
  })
})

describe.runIf(isLinux).each(CONFINED)('behind walls of level %s', (level) => {
  test('a forbidden access is refused, reported and counted, and a granted one is not', async () => {
    const home = newFolder()
    writeFileSync(join(home, 'credentials'), 'secret')
    const port = await listen()
    const agents = openAgents({
      ...behind(level, { connect: [`127.0.0.1:${port}`] }),
      environment: { HOME: home },
    })
    const args = [`127.0.0.1:${port}`, 'api.openai.com:443', `${home}/credentials`, '>./out', `>${home}/.bashrc`]
    const id = await agents.start('reach_out.py', { args })
    await agents.supervisor.whenEnded(id)
    const [granted, provider, secret, own, hook] = agents.lines().map((line) => line.split(' ')[0])
    expect([granted, own]).toEqual(['done', 'done'])
    for (const refused of [provider, secret, hook]) expect(refused).toMatch(/PermissionError|FileNotFoundError|OSError/)
    const denied = agents.events.flatMap((event) => (event.type === 'sandbox.denied' ? [event.message] : []))
    expect(denied).toEqual(
      expect.arrayContaining([
        'reach_out tried to connect to api.openai.com:443',
        `reach_out tried to read ${home}/credentials`,
        `reach_out tried to write ${home}/.bashrc`,
      ]),
    )
    const { unauthorized, sandbox } = agents.state.read().agents[id]!
    expect(unauthorized.denied).toBe(agents.count('sandbox.denied'))
    expect(sandbox).toEqual({ level, limited: true, why: null })
  })

  test('an agent in the home folder is not reported for its search for modules, but for its other reads', async () => {
    const home = newFolder()
    const script = join(home, 'agent.py')
    writeFileSync(join(home, 'credentials'), 'secret')
    writeFileSync(script, readFileSync(program('reach_out.py')))
    const agents = openAgents({ ...behind(level, {}, { cwd: home }), environment: { HOME: home } })
    const { agentId } = await agents.supervisor.start({ script, args: [join(home, 'credentials')] })
    await agents.supervisor.whenEnded(agentId)
    const denied = agents.events.flatMap((event) => (event.type === 'sandbox.denied' ? [event.data.target] : []))
    expect(denied).toEqual([join(home, 'credentials')])
  })

  test('files that other programs would obey are moved aside, reported and counted, and leftover processes end', async () => {
    const agents = openAgents(behind(level))
    const names = ['iron-cage.yaml', '.vscode/tasks.json', 'own/iron-cage.yaml']
    const id = await agents.start('leave_behind.py', { args: names })
    await agents.supervisor.whenEnded(id)
    const planted = agents.events.flatMap((event) => (event.type === 'sandbox.planted' ? [event.data] : []))
    const moved = ['iron-cage.yaml', '.vscode'].map((name) => join(agents.folder, name))
    expect(planted).toEqual(moved.map((path) => ({ path, moved_to: `${path}.planted` })))
    for (const path of moved) expect([existsSync(path), existsSync(`${path}.planted`)]).toEqual([false, true])
    expect(existsSync(join(agents.folder, 'own/iron-cage.yaml'))).toBe(true)
    expect(agents.state.read().agents[id]!.unauthorized).toMatchObject({ last: `leave ${moved[1]}` })
  })

  test("the server's database in the agent's folder is out of its reach", async () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'iron_logs'))
    writeFileSync(join(folder, 'iron_logs/log'), 'a line')
    const serverFiles = ['state.db', 'iron_logs'].map((name) => join(folder, name))
    const agents = openAgents({ ...behind(level), folder, serverFiles })
    const id = await agents.start('reach_out.py', { args: ['./state.db', '>./state.db', './iron_logs/log', '>./out'] })
    await agents.supervisor.whenEnded(id)
    const refused = Array(3).fill('PermissionError')
    expect(agents.lines().map((line) => line.split(' ')[0])).toEqual([...refused, 'done'])
  })
})

describe.runIf(isLinux)('an agent whose network is observed', () => {
  test.each(['observe', 'standard'])(
    'an agent whose network is observed is seen at %s when it calls a provider directly',
    async (level) => {
      const [provider, other] = [await listen(), await listen()]
      const agents = openAgents({
        ...behind(level),
        providerUrls: { openai: `http://localhost:${provider}/v1` },
      })
      const id = await agents.start('reach_out.py', { args: [`127.0.0.1:${provider}`, `127.0.0.1:${other}`] })
      await agents.supervisor.whenEnded(id)
      expect(agents.lines().map((line) => line.split(' ')[0])).toEqual(['done', 'done'])
      const bypassed = agents.events.filter(({ type }) => type === 'agent.bypassed')
      expect(bypassed.map(({ data }) => data)).toEqual([
        { provider: 'openai', target: `127.0.0.1:${provider}`, count: 1 },
      ])
      expect(
        agents.events.flatMap((event) => (event.type === 'sandbox.observed' ? [event.data.target] : [])),
      ).toContain(`127.0.0.1:${other}`)
      expect(agents.state.read().agents[id]!.unauthorized).toMatchObject({ denied: 0, bypassed: 1 })
    },
  )
})

describe.runIf(isLinux)('a home folder without a record of agent folders', () => {
  const withoutRecord = (level: string) => {
    const home = newFolder()
    onTestFinished(() => rmSync(home, { recursive: true }))
    // A file in the place of the folder stops root as well.
    writeFileSync(join(home, '.iron'), '')
    return openAgents({ ...behind(level), agentFolders: new AgentFolders(home) })
  }

  test.each(CONFINED)('%s is refused, with a remedy', async (level) => {
    await expect(withoutRecord(level).start('executable.sh')).rejects.toMatchObject({
      code: 'sandbox_unavailable',
      message: expect.stringMatching(/\.iron.+set HOME to a folder that can be written/),
    })
  })

  test('without a record of agent folders, an agent at the best level starts with a report of the missing walls', async () => {
    const agents = withoutRecord('auto')
    const id = await agents.start('executable.sh')
    expect(await agents.supervisor.whenEnded(id)).toMatchObject({ state: 'completed' })
    expect(agents.state.read().agents[id]!.sandbox).toMatchObject({
      level: 'standard',
      why: expect.stringMatching(/\.iron.+set HOME to a folder that can be written/),
    })
  })
})

/** Runs the Python named next where no namespaces can be made. */
const WITHOUT_NAMESPACES = `import ctypes, os, sys
user, group = os.getuid(), os.getgid()
if ctypes.CDLL(None).unshare(0x10000000): raise OSError("user namespaces are needed to take them away")
for name, text in (("setgroups", "deny"), ("uid_map", "65534 %d 1" % user), ("gid_map", "65534 %d 1" % group)):
    open("/proc/self/" + name, "w").write(text)
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv(sys.argv[1], sys.argv[1:])`

describe.runIf(isLinux)('a machine without namespaces', () => {
  const ironCage = join(import.meta.dirname, '../../bin/iron-cage.cjs')
  const words = ['start', 'agent.py', '--port', '0', '--python', python, '--sandbox', 'standard']

  function start(folder: string, ...more: string[]): string {
    const command = ['-c', WITHOUT_NAMESPACES, process.execPath, ironCage, ...words, ...more]
    return spawnSync(python, command, { cwd: folder, encoding: 'utf8' }).stdout
  }

  test('standard names the server file that it cannot hide, and the remedy', () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'agent.py'), 'print(open("iron_state.db", "rb").read(6))')
    const stdout = start(folder)
    expect(stdout).toContain("b'SQLite'")
    expect(stdout).toMatch(/Sandbox +standard/)
    expect(stdout).toContain(
      `no mount namespaces, so it can reach ${folder}/iron_state.db: choose another path with --db`,
    )
  })

  test('standard warns that programs are not read-only', () => {
    const folder = newFolder()
    writeFileSync(join(folder, 'agent.py'), '')
    const elsewhere = newFolder()
    const config = join(elsewhere, 'iron-cage.yaml')
    writeFileSync(config, `log: { dir: ${elsewhere} }`)
    const options = ['--db', join(elsewhere, 'state.db'), '--config', config]
    expect(start(folder, ...options)).toContain('it can change programs that run later, such as those in .venv')
  })
})

describe.runIf(isLinux)('the start block', () => {
  const ironCage = join(import.meta.dirname, '../../bin/iron-cage.cjs')

  test.each(CONFINED)('the start block lists the folders that an agent at %s may write to', (level) => {
    const [folder, results] = [newFolder(), newFolder()]
    writeFileSync(join(folder, 'agent.py'), 'print("it runs")')
    writeFileSync(join(folder, 'iron-cage.yaml'), JSON.stringify({ agent: { sandbox: { write: [results] } } }))
    const words = ['start', 'agent.py', '--port', '0', '--python', python, '--sandbox', level]
    const { stdout } = spawnSync(process.execPath, [ironCage, ...words], { cwd: folder, encoding: 'utf8' })
    expect(stdout).toContain(`Writes         ${folder}, ${results}, temporary files of its own\n`)
    expect(stdout).not.toContain('closed')
  })

  test('the start block notes that an agent in the home folder reads only its script there', () => {
    const home = newFolder()
    writeFileSync(join(home, 'agent.py'), 'print("it runs")')
    const words = ['start', 'agent.py', '--port', '0', '--python', python]
    const env = { PATH: process.env.PATH, HOME: home }
    const { stdout } = spawnSync(process.execPath, [ironCage, ...words], { cwd: home, env, encoding: 'utf8' })
    expect(stdout).toContain(`${home}: closed to agents but for their script`)
    expect(stdout).toContain('it runs')
    expect(stdout).not.toContain('tried to')
  })
})

describe.runIf(isLinux)('a machine on which walls cannot be built', () => {
  const root = resolve(import.meta.dirname, '../..')
  /** On a machine that allows neither namespaces nor another listener: within a cage. */
  const start = (level: string) => {
    const folder = newFolder()
    writeFileSync(join(folder, 'agent.py'), 'print("it runs")')
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const reads = [root, dirname(dirname(python))].flatMap((path) => ['--read', path])
    const cage = [...launching(), '--level', 'standard', ...reads, '--write', folder, '--']
    const program = [process.execPath, join(root, 'bin/iron-cage.cjs'), 'start', 'agent.py', '--port', '0']
    return spawnSync(python, [...cage, ...program, '--python', python, '--sandbox', level], {
      cwd: folder,
      encoding: 'utf8',
    })
  }

  test.each(LEVELS)('%s is refused before anything runs, with a remedy', (level) => {
    const { status, stdout, stderr } = start(level)
    expect(stderr).toContain(`the sandbox level "${level}" is not available here`)
    expect(stderr).toContain('iron-cage doctor')
    expect(stdout).not.toContain('it runs')
    expect(status).toBe(126)
  })

  test('the best available level is none, and the start block gives the reason', () => {
    const { status, stdout } = start('auto')
    expect(stdout).toMatch(/Sandbox +off \(seccomp: .+\)/)
    expect(stdout).toContain('it runs')
    expect(status).toBe(0)
  })
})
