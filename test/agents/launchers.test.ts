/**
 * Launchers of sandboxes that wait for their agent: they start it as a new one would, and end when they are not needed
 * any more.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Launchers } from '../../src/agents/launchers.ts'
import type { Program } from '../../src/agents/spawn.ts'
import { readProcessTable } from '../../src/core/process-table.ts'
import { python } from '../support/agent-parts.ts'
import { openAgents, untilNone } from '../support/agents.ts'

const isLinux = process.platform === 'linux'
const SHOW = `import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get('OF_THE_RUN'), 'BEFORE' in os.environ]))`

interface Site {
  folder: string
  launchers: Launchers
  place: { program: string; cwd: string; environment: Record<string, string> }
}

function open(): Site {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'iron-cage-launchers-')))
  writeFileSync(join(folder, 'show.py'), SHOW)
  const launchers = new Launchers()
  onTestFinished(async () => {
    await launchers.close()
    rmSync(folder, { recursive: true })
  })
  return { folder, launchers, place: { program: python, cwd: folder, environment: { PATH: '/usr/bin', BEFORE: '1' } } }
}

const children = async () => (await readProcessTable()).filter(({ ppid }) => ppid === process.pid).map(({ pid }) => pid)

/** The process that `prepare` starts. */
async function startedBy(prepare: () => void): Promise<number> {
  const before = await children()
  prepare()
  const added = async () => (await children()).filter((pid) => !before.includes(pid))
  await expect.poll(async () => (await added()).length).toBe(1)
  return (await added())[0]!
}

/** Starts the agent, lets it run and returns its output. */
async function run({ folder, launchers, place }: Site, args: string[], value = 'värde'): Promise<[Program, unknown]> {
  const words = ['--level', 'observe', '--write', folder, '--report-fd', '3', '--gate', '--', python]
  const environment = { PATH: '/usr/bin', OF_THE_RUN: value }
  const child = await launchers.start(place, { words: [...words, join(folder, 'show.py'), ...args], environment })
  child.stdin.end('go\n')
  let [out, err] = ['', '']
  child.stdout!.on('data', (piece) => (out += piece))
  child.stderr!.on('data', (piece) => (err += piece))
  await once(child, 'close')
  expect([await child.exited, err]).toEqual([{ exitCode: 0, signal: null }, ''])
  return [child, JSON.parse(out)]
}

describe.runIf(isLinux)('variables of the C library', () => {
  test.each([true, false])(
    'variables of the C library are for the agent, not for its launcher (a spare one: %s)',
    async (isSpare) => {
      const { launchers, place, folder } = open()
      // Not even a library that cannot be loaded is noticed.
      const LD_PRELOAD = join(folder, 'no-library.so')
      const environment = { PATH: '/usr/bin', LD_PRELOAD }
      const own = { ...place, environment }
      if (isSpare) await startedBy(() => launchers.prepare(own))
      const words = ['--level', 'observe', '--report-fd', '3', '--gate', '--', '/bin/sh', '-c', 'echo $LD_PRELOAD']
      const child = await launchers.start(own, { words, environment })
      const launcher = readFileSync(`/proc/${child.pid}/environ`, 'utf8')
      child.stdin.end('go\n')
      let out = ''
      child.stdout!.on('data', (piece) => (out += piece))
      await once(child, 'close')
      expect(launcher).not.toContain('LD_PRELOAD')
      expect(out.trim()).toBe(LD_PRELOAD)
    },
  )
})

describe.runIf(isLinux)('a spare launcher', () => {
  test('a spare launcher becomes the agent with its arguments, folder and environment, and no other variable', async () => {
    const site = open()
    const spare = await startedBy(() => {
      site.launchers.prepare(site.place)
      site.launchers.prepare(site.place)
    })
    const [child, seen] = await run(site, ['--level', 'ünïcode', ''])
    expect(child.pid).toBe(spare)
    expect(seen).toEqual([['--level', 'ünïcode', ''], site.folder, 'värde', false])
  })

  test.each([
    ['for another place', { place: { cwd: tmpdir() }, value: 'x' }],
    ['for more than a pipe holds', { place: {}, value: 'x'.repeat(100_000) }],
  ])('a spare launcher is not used %s', async (_what, { place, value }) => {
    const site = open()
    const spare = await startedBy(() => site.launchers.prepare({ ...site.place, ...place }))
    const [child, seen] = await run(site, [], value)
    expect(child.pid).not.toBe(spare)
    expect(seen).toEqual([[], site.folder, value, false])
  })

  test('a spare launcher that was killed is not used', async () => {
    const site = open()
    const killed = await startedBy(() => site.launchers.prepare(site.place))
    process.kill(killed, 'SIGKILL')
    // As soon as its end is known another one takes its place.
    const next = await startedBy(() => {
      const timer = setInterval(() => site.launchers.prepare(site.place), 10)
      onTestFinished(() => clearInterval(timer))
    })
    const [child] = await run(site, [])
    expect(next).not.toBe(killed)
    expect(child.pid).toBe(next)
  })

  test('a spare launcher refuses a NUL in a value as a bad request, like a new one', async () => {
    const site = open()
    site.launchers.prepare(site.place)
    const request = { words: [], environment: { NUL: '\0' } }
    await expect(site.launchers.start(site.place, request)).rejects.toMatchObject({ code: 'bad_request' })
  })

  test('a spare launcher ends when it is no longer needed, and none is started after', async () => {
    const site = open()
    const before = await children()
    site.launchers.prepare(site.place)
    await site.launchers.close()
    site.launchers.prepare(site.place)
    expect(await untilNone(async () => (await children()).filter((pid) => !before.includes(pid)))).toEqual([])
  })
})

test.runIf(isLinux)('an agent that was prepared for runs in the process that waited for it', async () => {
  const agents = openAgents({ config: { agent: { restart: { enabled: false }, sandbox: { level: 'standard' } } } })
  const script = join(import.meta.dirname, 'programs/executable.sh')
  const spare = await startedBy(() => agents.supervisor.prepare({ script }))
  const { agentId } = await agents.supervisor.start({ script })
  expect((await agents.event('agent.started')).data.pid).toBe(spare)
  expect(await agents.supervisor.whenEnded(agentId)).toMatchObject({ state: 'completed', exitCode: 0 })
})
