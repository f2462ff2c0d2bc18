/** The npm package of a release, installed from its tarball as a stranger would. */
import { execFile } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { artifact, release } from './released.ts'

const root = resolve(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'iron-cage-package-'))
const run = promisify(execFile)
const env = { PATH: process.env.PATH!, HOME: work }
let files: string[] = []

beforeAll(async () => {
  const tarball = artifact(await release(), `iron-cage-${packageJson.version}.tgz`)
  const listed = (await run('tar', ['-tf', tarball])).stdout.trim().split('\n')
  files = listed.map((path) => path.replace(/^package\//, ''))
  writeFileSync(join(work, 'package.json'), '{ "type": "module" }')
  await run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: work })
})
afterAll(() => rm(work, { recursive: true, force: true }))

describe('the npm package', () => {
  test('the npm package holds the program, the dashboard, the SDK, the demo, strategies and types, and nothing else', () => {
    const kinds = files.map((path) =>
      path
        .replace(/chunk-.+\.mjs$/, 'chunk.mjs')
        .replace(/[\w-]+-thread\.mjs$/, 'thread.mjs')
        .replace(/^(python\/iron_(?:cage|sandbox))\/.+\.py$/, '$1/*.py')
        .replace(/^strategies\/.+/, 'strategies/*'),
    )
    expect([...new Set(kinds)].sort()).toEqual([
      'LICENSE',
      'README.md',
      'bin/iron-cage.cjs',
      'demo/lead_gen_agent.py',
      'demo/leads.csv',
      'dist/THIRD_PARTY_NOTICES.txt',
      'dist/chunk.mjs',
      'dist/index.mjs',
      'dist/iron-cage.mjs',
      'dist/panel/index.html',
      'dist/panel/main.css',
      'dist/panel/main.js',
      'dist/runtime.mjs',
      'dist/thread.mjs',
      'dist/types/core/errors.d.ts',
      'dist/types/core/events.d.ts',
      'dist/types/core/id-types.d.ts',
      'dist/types/core/money.d.ts',
      'dist/types/core/pii-types.d.ts',
      'dist/types/index.d.ts',
      'dist/types/protocol/control-messages.d.ts',
      'dist/types/state/histogram.d.ts',
      'dist/types/state/snapshot.d.ts',
      'dist/web/index.html',
      'dist/web/main.css',
      'dist/web/main.js',
      'package.json',
      'python/README.md',
      'python/iron_cage/*.py',
      'python/iron_cage/protocol.json',
      'python/iron_cage/py.typed',
      'python/iron_runtime.py',
      'python/iron_sandbox/*.py',
      'python/shim/sitecustomize.py',
      'strategies/*',
    ])
  })

  test('the npm package plays the demo, and answers to both names', async () => {
    const { stdout: version } = await run('npx', ['--no-install', 'iron_cage', 'version'], { cwd: work, env })
    expect(version).toBe(`iron-cage ${packageJson.version}\n`)
    const demo = ['--no-install', 'iron-cage', 'demo', '--pace', 'max', '--once', '--port', '0']
    const { stdout } = await run('npx', demo, { cwd: work, env })
    expect(stdout).toContain('Total              $45.90 of $50.00 (91.8% used)')
    expect(stdout).toContain('Success                             98% (98/100)')
  })

  test('the npm package opens a runtime for a program that imports it, with types that are right', async () => {
    writeFileSync(join(work, 'agent.py'), 'print("hello")\n')
    writeFileSync(
      join(work, 'program.ts'),
      `import { CageError, openRuntime, type RuntimeEvent } from 'iron-cage'
      const types: RuntimeEvent['type'][] = []
      await using runtime = await openRuntime({ config: { server: { port: 0 }, db: { path: 'library.db' }, budget: { limit_usd: '5' } } })
      runtime.subscribe((event) => types.push(event.type))
      const agent = await runtime.startAgent('agent.py', { limitUsd: '2.50' })
      const { state, exitCode } = await agent.ended
      console.log(JSON.stringify({ state, exitCode, limit: runtime.snapshot().agents[agent.id]?.limit_usd, exited: types.includes('agent.exited') }))
      await openRuntime({ config: { budget: { limit_usd: 'much' } } }).catch((error: unknown) => {
        if (error instanceof CageError) console.log(error.code satisfies string)
      })
      `,
    )
    writeFileSync(join(work, 'wrong.ts'), `import { openRuntime } from 'iron-cage'\nvoid openRuntime({ budget: 5 })\n`)
    const check = (file: string) =>
      run(
        process.execPath,
        [
          ...[join(root, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', '--strict', '--noEmit', file],
          ...['--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,esnext.disposable,dom', '--types', 'node'],
          ...['--typeRoots', join(root, 'node_modules/@types')],
        ],
        { cwd: work },
      )
    await check('program.ts')
    await expect(check('wrong.ts')).rejects.toMatchObject({
      stdout: expect.stringContaining("'budget' does not exist in type 'OpenOptions'"),
    })
    const { stdout } = await run(process.execPath, ['program.ts'], { cwd: work, env })
    const [ended, refused] = stdout.trim().split('\n')
    expect(JSON.parse(ended!)).toEqual({ state: 'completed', exitCode: 0, limit: '2.5', exited: true })
    expect(refused).toBe('invalid_amount')
  })
})
