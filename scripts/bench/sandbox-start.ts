/**
 * node scripts/bench/sandbox-start.ts [rounds, 40 by default]: the sandbox's part of the start of an agent, from its
 * spawn to its first instruction, level by level in turns with a bare start through the server's own shell. Linux only.
 *
 * Prints the fastest and the median of each, and their difference to the bare start: with a spare launcher, as all but
 * hasty restarts have, and with a new one. On a busy machine read the fastest.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Launchers } from '../../src/agents/launchers.ts'
import { type AgentProcess, spawnAgent } from '../../src/agents/process.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import { newAgentId } from '../../src/core/ids.ts'
import { lockLimitOf } from '../../src/core/process-table.ts'
import { cageFor } from '../../src/sandbox/cage.ts'

const LEVELS = ['observe', 'standard', 'strict'] as const
const STARTS = ['bare', ...LEVELS, ...LEVELS.map((level) => `${level}, new` as const)] as const
type Start = (typeof STARTS)[number]
/** Until a spare launcher waits, in ms; a busy machine takes longer than a quiet one. */
const SPARE_MS = 100
const rounds = Number(process.argv[2] ?? 40)
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-sandbox-start-'))
const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()

/** Each prints the monotonic clock, in ms, as its first act. */
const AGENTS: Record<string, { program: string; script: string; text: string }> = {
  Python: { program: python, script: 'agent.py', text: 'import time; print(time.monotonic() * 1000)' },
  Node: {
    program: process.execPath,
    script: 'agent.mjs',
    text: 'console.log(Number(process.hrtime.bigint()) / 1e6)',
  },
  executable: {
    program: '',
    script: 'agent.sh',
    text: '#!/bin/sh\nread -r up rest < /proc/uptime; echo "uptime $up"',
  },
}

async function startOnce(name: string, start: Start, launchers: Launchers): Promise<number> {
  const [level, isNew] = start.split(', ')
  const { program, script } = AGENTS[name]!
  const path = join(folder, script)
  const command = { program: program || path, args: program ? [path] : [] }
  const environment = { PATH: process.env.PATH ?? '', HOME: homedir() }
  const agentId = newAgentId('sandbox start')
  const { sandbox } = configSchema.parse({ agent: { sandbox: { level: level === 'bare' ? 'off' : level } } }).agent
  const cage = cageFor({
    settings: sandbox,
    command,
    script: path,
    cwd: folder,
    environment,
    serverUrl: 'http://127.0.0.1:8080',
    serverFiles: [join(folder, 'iron_state.db')],
    lockLimit: lockLimitOf(agentId),
  })
  if (cage.launcher && !isNew) {
    launchers.prepare({ program: cage.launcher.program, cwd: folder, environment })
    await sleep(SPARE_MS)
  }
  const begun = performance.now() + monotonicOffset
  const own = { own: launchers, base: environment }
  const agent = await spawnAgent({ command, cwd: folder, environment, agentId, cage, launchers: own })
  agent.release()
  const first = await firstLine(agent)
  await agent.end(0, systemClock)
  return first - begun
}

/** When the agent printed its first line: its own time, or else that of its arrival. */
async function firstLine({ stdout }: AgentProcess): Promise<number> {
  const [content] = (await once(stdout, 'data')) as [Buffer]
  const came = performance.now() + monotonicOffset
  const said = Number(content.toString())
  return Number.isNaN(said) ? came : said
}

/** `performance.now` begins at this process's start. */
const monotonicOffset = Number(process.hrtime.bigint()) / 1e6 - performance.now()

const summary = (times: readonly number[]) => {
  const sorted = [...times].sort((a, b) => a - b)
  return { fastest: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]! }
}

try {
  for (const { script, text } of Object.values(AGENTS)) {
    writeFileSync(join(folder, script), text)
    chmodSync(join(folder, script), 0o755)
  }
  writeFileSync(join(folder, 'iron_state.db'), '')
  const launchers = new Launchers()
  console.log('start of    level             fastest  median   added to bare: fastest  median (ms)')
  for (const name of Object.keys(AGENTS)) {
    const times = new Map(STARTS.map((start) => [start, [] as number[]]))
    for (let round = 0; round < rounds; round++) {
      for (const start of STARTS) times.get(start)!.push(await startOnce(name, start, launchers))
      await sleep(20)
    }
    const bare = summary(times.get('bare')!)
    for (const start of STARTS) {
      const { fastest, median } = summary(times.get(start)!)
      const cells = [fastest, median, fastest - bare.fastest, median - bare.median].map((ms) =>
        ms.toFixed(1).padStart(8),
      )
      console.log(
        name.padEnd(12) + start.padEnd(16) + cells.slice(0, 2).join('') + cells.slice(2).join('').padStart(32),
      )
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
