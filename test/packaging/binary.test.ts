/** The single executable, alone in an empty folder on a machine that has Python and no Node. */
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { startCluster } from '../panel/postgres.ts'
import { openRedis } from '../panel/redis.ts'
import { badlyAnswered, callEveryRoute, REFUSED_READS, serveBuilt } from '../support/every-route.ts'
import { freePort } from '../support/free-port.ts'
import { callWithLargeBodies } from '../support/large-call.ts'
import { executable } from './released.ts'

const work = mkdtempSync(join(tmpdir(), 'iron-cage-binary-'))
const tools = join(work, 'tools')

let built: string

beforeAll(async () => {
  built = await executable()
  mkdirSync(tools)
  for (const folder of ['/bin', '/usr/bin']) {
    for (const name of readdirSync(folder).filter((tool) => /^(sh|dash|bash|grep|env|python3(\.\d+)?)$/.test(tool))) {
      if (!readdirSync(tools).includes(name)) symlinkSync(join(folder, name), join(tools, name))
    }
  }
})
afterAll(() => rm(work, { recursive: true, force: true }))

/** Runs the executable in a folder that held nothing else, with nothing but PATH and HOME. */
async function run(folder: string, ...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(join(folder, 'iron-cage'), args, { cwd: folder, env: { PATH: tools, HOME: folder } })
  const [out, err, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((ended) => child.once('exit', ended)),
  ])
  return { code, out, err }
}

function emptyFolder(): string {
  const folder = mkdtempSync(join(work, 'place-'))
  // The same file: a copy for each test would be more than a gigabyte.
  linkSync(join(built, 'iron-cage'), join(folder, 'iron-cage'))
  return folder
}

describe('the executable', () => {
  test('the executable is one file of at most 132 MB, with its checksum beside it', () => {
    expect(readdirSync(built).sort()).toEqual(['SHA256SUMS', 'iron-cage'])
    const content = readFileSync(join(built, 'iron-cage'))
    expect(content.length).toBeLessThanOrEqual(132_000_000)
    const hash = createHash('sha256').update(content).digest('hex')
    expect(readFileSync(join(built, 'SHA256SUMS'), 'utf8')).toBe(`${hash}  iron-cage\n`)
  })

  test('the executable plays the demo, with every checkpoint met', async () => {
    const folder = emptyFolder()
    const { code, out, err } = await run(folder, 'demo', '--pace', 'max', '--once', '--check', '--port', '0')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.match(/^[✔✖].+/gm)).toEqual(Array(7).fill(expect.stringMatching(/^✔/)))
    expect(out).toContain('Total              $45.90 of $50.00 (91.8% used)')
    expect(out).toContain('Success                             98% (98/100)')
    expect(out).toMatch(/Circuit OPEN for linkedin_api after 5 failures · fallback tier 2 \(cached data\)/)
    expect(out).not.toContain('piileaker.com')
  })

  test('the executable answers every route of its OpenAPI document', async () => {
    const folder = emptyFolder()
    const env = { PATH: tools, HOME: folder }
    const answered = await callEveryRoute(await serveBuilt([join(folder, 'iron-cage')], folder, env))
    expect(badlyAnswered(answered)).toEqual(REFUSED_READS)
  })

  test('the executable redacts a call whose request and reply are large', async () => {
    const folder = emptyFolder()
    const { reply, sent } = await callWithLargeBodies([join(folder, 'iron-cage')], folder, tools)
    expect([reply.status, reply.text.includes('[EMAIL_REDACTED]'), reply.text.includes('ann@')]).toEqual([
      200,
      true,
      false,
    ])
    expect([sent.includes('[EMAIL_REDACTED]'), sent.includes('bob@')]).toEqual([true, false])
  })

  test('the executable is a Control Panel on PostgreSQL, with a Redis', async () => {
    const cluster = await startCluster()
    const redis = await openRedis()
    await redis.start()
    const folder = emptyFolder()
    const port = String(await freePort())
    const env = { PATH: tools, HOME: folder, IRON_CAGE_URL: `http://localhost:${port}` }
    const words = ['panel', '--database', await cluster.newDatabase(), '--redis', redis.url, '--port', port]
    const { out } = await run(folder, 'panel', 'token', '--role', 'admin', '--database', words[2]!)
    const panel = spawn(join(folder, 'iron-cage'), words, { cwd: folder, env })
    try {
      let printed = ''
      for await (const chunk of panel.stdout) {
        printed += chunk
        if (printed.includes('runtimes invite')) break
      }
      const own = (...args: string[]) =>
        execFileSync(join(folder, 'iron-cage'), args, {
          cwd: folder,
          env: { ...env, IRON_CAGE_TOKEN: out.trim() },
          encoding: 'utf8',
        })
      await expect.poll(() => own('health')).toBe(`ok  iron-cage ${packageJson.version}  redis ok\n`)
      own('budget', 'set', '--org', '5')
      expect(own('budget', 'get', '--org')).toContain('$5.00')
    } finally {
      panel.kill('SIGTERM')
      await new Promise((ended) => panel.once('exit', ended))
      await cluster.remove()
    }
  })

  test('the executable prints its version without extracting anything', async () => {
    const folder = emptyFolder()
    expect(await run(folder, 'version')).toEqual({ code: 0, out: `iron-cage ${packageJson.version}\n`, err: '' })
    expect(readdirSync(folder)).toEqual(['iron-cage'])
  })

  test('the executable does not obey NODE_OPTIONS, and takes no script for its own program', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'evil.cjs'), "console.log('evil')")
    const env = { PATH: tools, HOME: folder, NODE_OPTIONS: `--require=${join(folder, 'evil.cjs')}` }
    const program = join(folder, 'iron-cage')
    expect(execFileSync(program, ['version'], { cwd: folder, env, encoding: 'utf8' })).not.toContain('evil')
    expect(await run(folder, 'evil.cjs')).toMatchObject({ code: 2, out: '' })
  })

  test('the executable re-executes itself to hide the master key, and keeps its arguments', () => {
    const folder = emptyFolder()
    const env = { PATH: tools, HOME: folder, IRON_CAGE_MASTER_KEY: 'k3Jr9-pQx7Lw2_vTn8Zb5Yc4Mf6Hg1Ds0Aa' }
    const out = execFileSync(join(folder, 'iron-cage'), ['version', '--json'], { cwd: folder, env, encoding: 'utf8' })
    expect(JSON.parse(out)).toMatchObject({ version: packageJson.version, single_executable: true })
  })

  test('the executable names the missing runtime of an agent in JavaScript', async () => {
    const folder = emptyFolder()
    writeFileSync(join(folder, 'agent.mjs'), '')
    expect(await run(folder, 'start', 'agent.mjs', '--port', '0')).toMatchObject({
      code: 127,
      err: expect.stringContaining('node is not on PATH'),
    })
  })

  test('started ten times at once on an empty folder, works each time and leaves only whole files', async () => {
    const folder = emptyFolder()
    const runs = Array.from({ length: 10 }, (_, index) => run(folder, 'config', 'check', '--db', `${index}.db`))
    for (const ended of await Promise.all(runs)) expect(ended).toMatchObject({ code: 0, err: '' })
    // Commands that read a database need the native part.
    const looks = Array.from({ length: 10 }, () => run(folder, 'audit', 'export', '--db', 'iron-cage'))
    for (const ended of await Promise.all(looks)) expect(ended.err).toContain('file is not a database')
    const cache = join(folder, '.cache/iron-cage')
    expect(statSync(cache).mode & 0o777).toBe(0o700)
    const files = readdirSync(cache, { recursive: true, encoding: 'utf8' })
    expect(files.filter((name) => /\.[0-9a-f]{12}$/.test(name))).toEqual([])
    expect(files.filter((name) => name.endsWith('.node')).length).toBeGreaterThanOrEqual(1)
  })
})
