/**
 * How the shim takes rotated secrets over, in real Python processes that start as the supervisor starts an agent, with a
 * server that does as the test wants.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { python } from '../support/agent-parts.ts'

const shim = resolve(import.meta.dirname, '../../python/shim')

/** As `agents/process.ts` does it. */
const GATE = `trap '' USR1; export IRON_CAGE_PID=$$; exec "$@"`

interface Report {
  pid: number
  revision: number | null
}

/** The server as the shim knows it, and an agent of it. */
async function openStage({ secrets = {} as Record<string, string> } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'shim-secrets-'))
  const reports: Report[] = []
  const waiting = new Set<() => void>()
  let answer: (response: ServerResponse) => void = (response) =>
    void response.end(JSON.stringify({ revision: 7, secrets }))
  const server = createServer(async (request, response) => {
    expect(request.headers.authorization).toBe('Bearer run_abc')
    if (request.url === '/api/run/secrets') return answer(response)
    expect([request.method, request.url]).toEqual(['POST', '/api/run/secrets/ack'])
    // An agent that is killed at the end of a test may leave in the middle of a word.
    const report = await text(request).catch(() => undefined)
    if (report === undefined) return
    reports.push(JSON.parse(report) as Report)
    response.writeHead(204).end()
    for (const resume of waiting) resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    rmSync(home, { recursive: true })
  })
  const { port } = server.address() as AddressInfo
  return {
    home,
    reports,
    write(name: string, content: string): string {
      const file = join(home, name)
      mkdirSync(join(file, '..'), { recursive: true })
      writeFileSync(file, content)
      return file
    },
    answers(how: (response: ServerResponse) => void) {
      answer = how
    },
    async reported(count: number) {
      while (reports.length < count) await new Promise<void>((done) => waiting.add(done))
    },
    start(
      args: string[],
      { path = [] as string[], program = python, environment = {} as Record<string, string> } = {},
    ) {
      const agent = spawn('/bin/sh', ['-c', GATE, 'sh', program, ...args], {
        cwd: home,
        env: {
          PATH: process.env.PATH,
          PYTHONPATH: [shim, ...path].join(delimiter),
          PYTHONDONTWRITEBYTECODE: '1',
          PYTHONUNBUFFERED: '1',
          IRON_CAGE_URL: `http://127.0.0.1:${port}`,
          IRON_CAGE_TOKEN: 'run_abc',
          ...environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      onTestFinished(() => void agent.kill('SIGKILL'))
      let [stdout, stderr] = ['', '']
      const waiting = new Set<() => void>()
      agent.stderr.on('data', (piece: Buffer) => {
        stderr += piece
        for (const resume of waiting) resume()
      })
      agent.stdout.on('data', (piece: Buffer) => {
        stdout += piece
        for (const resume of waiting) resume()
      })
      /** Resolves when so many lines have been printed, or one of them, or of the errors, is this. */
      const printed = async (wanted: string | number) => {
        const isThere = () =>
          typeof wanted === 'number'
            ? stdout.split('\n').length > wanted
            : [stdout, stderr].some((output) => output.split('\n').slice(0, -1).includes(wanted))
        while (!isThere()) await new Promise<void>((done) => waiting.add(done))
      }
      const end = once(agent, 'close').then(([code, signal]) => ({
        status: code ?? signal,
        stdout: stdout.trim(),
        stderr: stderr.trim(),
      }))
      return {
        pid: agent.pid!,
        signal: () => agent.kill('SIGUSR1'),
        printed,
        lines: () => stdout.split('\n').length,
        end,
      }
    },
  }
}

describe('the first process of an agent reports that it listens', () => {
  test('the first process of an agent reports once, however it is started', async () => {
    const stage = await openStage()
    stage.write('agent.py', '')
    stage.write('theirs/sitecustomize.py', '')
    execFileSync(python, ['-m', 'venv', '--without-pip', 'venv'], { cwd: stage.home })
    const started = [
      stage.start(['agent.py']),
      stage.start(['-m', 'agent']),
      stage.start(['-c', 'pass']),
      stage.start(['agent.py'], { program: join(stage.home, 'venv/bin/python') }),
      stage.start(['agent.py'], { path: [join(stage.home, 'theirs')] }),
    ]
    for (const { end } of started) expect(await end).toEqual({ status: 0, stdout: '', stderr: '' })
    await stage.reported(started.length)
    const pids = started.map(({ pid }) => pid).sort()
    expect(stage.reports.map(({ pid }) => pid).sort()).toEqual(pids)
    expect(stage.reports.every(({ revision }) => revision === null)).toBe(true)
  })

  test("the children of an agent's process do not report", async () => {
    const stage = await openStage()
    const child = 'import os, subprocess, sys; subprocess.run([sys.executable, "-c", "pass"]); os.fork() or os._exit(0)'
    const { pid, end } = stage.start(['-c', child])
    expect((await end).status).toBe(0)
    await stage.reported(1)
    expect(stage.reports).toEqual([{ pid, revision: null }])
  })

  test('no process reports without the shim, or if the program handles SIGUSR1 itself', async () => {
    const stage = await openStage()
    stage.write('theirs/sitecustomize.py', 'import signal; signal.signal(signal.SIGUSR1, print)')
    const own = 'import signal; print(signal.getsignal(signal.SIGUSR1) is print)'
    expect(await stage.start(['-c', own], { path: [join(stage.home, 'theirs')] }).end).toMatchObject({ stdout: 'True' })
    for (const flag of ['-S', '-I', '-E'])
      expect(await stage.start([flag, '-c', 'pass']).end).toMatchObject({ status: 0 })
    expect(stage.reports).toEqual([])
  })

  test('a process reports again when it becomes another Python', async () => {
    const stage = await openStage()
    const again = 'import os, sys; os.execv(sys.executable, [sys.executable, "-c", "pass"])'
    const { pid, end } = stage.start(['-c', again])
    await end
    await stage.reported(2)
    expect(stage.reports).toEqual([
      { pid, revision: null },
      { pid, revision: null },
    ])
  })

  test('a process goes on silently without a server, and with a warning after another error', async () => {
    const stage = await openStage()
    const gone = stage.start(['-c', 'print("runs")'], { environment: { IRON_CAGE_URL: 'http://127.0.0.1:9' } })
    expect(await gone.end).toEqual({ status: 0, stdout: 'runs', stderr: '' })
    const odd = stage.start(['-c', 'print("runs")'], { environment: { IRON_CAGE_URL: 'nonsense' } })
    expect(await odd.end).toMatchObject({ status: 0, stdout: 'runs', stderr: expect.stringContaining('iron_cage: ') })
  })
})

/** Prints its values of A and B whenever they change, and ends when A is "end". */
const WATCH = [
  'import os, time',
  'shown = None',
  'print("begins")',
  'while True:',
  '    now = os.environ["A"], os.environ.get("B")',
  '    if now[0] == "end":',
  '        break',
  '    if now != shown:',
  '        shown = now',
  '        print(*now)',
  '    time.sleep(0.01)',
].join('\n')

describe('SIGUSR1', () => {
  test('SIGUSR1 updates os.environ for the program and its children, except for variables that the program changed', async () => {
    const secrets = { A: 'new', B: 'handed over' }
    const stage = await openStage({ secrets })
    const own = `import os; os.environ["B"] = "own"\n${WATCH}\nos.system("echo child $A")`
    const agent = stage.start(['-c', own], { environment: { A: 'old', B: 'handed over' } })
    await agent.printed('old own')
    agent.signal()
    await stage.reported(2)
    expect(stage.reports[1]).toEqual({ pid: agent.pid, revision: 7 })
    await agent.printed('new own')
    secrets.A = 'end'
    agent.signal()
    const lines = (await agent.end).stdout.split('\n')
    expect(lines).toEqual(['begins', 'old own', 'new own', 'child end'])
  })

  test('SIGUSR1 does not make the program wait for the server', async () => {
    const stage = await openStage()
    const asked = Promise.withResolvers<ServerResponse>()
    stage.answers(asked.resolve)
    const ticking = 'import time\nfor number in range(10_000):\n    print(number)\n    time.sleep(0.01)'
    const agent = stage.start(['-c', ticking])
    await agent.printed(3)
    agent.signal()
    const response = await asked.promise
    await agent.printed(agent.lines() + 5)
    response.end('{"revision": 7, "secrets": {}}')
    await stage.reported(2)
  })

  test('a SIGUSR1 whose request fails is a warning, and the program goes on', async () => {
    const stage = await openStage()
    stage.answers((response) => void response.writeHead(503).end('{}'))
    const code = 'import os, time\nprint("begins")\nwhile not os.path.exists("end"): time.sleep(0.01)\nprint("ends")'
    const agent = stage.start(['-c', code])
    await agent.printed('begins')
    agent.signal()
    await agent.printed(
      'iron_cage: rotated secrets could not be taken over: OSError: the server answered 503; the program goes on',
    )
    stage.write('end', '')
    expect(await agent.end).toMatchObject({ stdout: 'begins\nends', status: 0 })
    await stage.reported(1)
    expect(stage.reports).toHaveLength(1)
  })

  test('SIGUSR1 sent a hundred times ends with the last values', async () => {
    const secrets = { A: 'new' }
    const stage = await openStage({ secrets })
    const agent = stage.start(['-c', WATCH], { environment: { A: 'old' } })
    await agent.printed('begins')
    for (let number = 0; number < 100; number++) {
      secrets.A = number < 99 ? `new ${number}` : 'end'
      agent.signal()
    }
    expect(await agent.end).toMatchObject({ status: 0, stderr: '' })
  })
})
