import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { type CageRequest, cageFor } from '../../src/sandbox/cage.ts'

const python = '/venv/bin/python'
const request = (sandbox: object, more: Partial<CageRequest> = {}): CageRequest => ({
  settings: configSchema.parse({ agent: { sandbox } }).agent.sandbox,
  command: { program: python, args: ['/project/agent.py', '--fast'] },
  script: '/project/agent.py',
  cwd: '/project',
  environment: { HOME: '/home/me', PATH: '/usr/bin:/bin' },
  serverUrl: 'http://127.0.0.1:8080',
  serverFiles: [],
  lockLimit: 7,
  platform: 'linux',
  ...more,
})
/** The values of an option of the launcher. */
const valuesOf = (cage: ReturnType<typeof cageFor>, name: string): string[] => {
  const { words } = cage.launcher!
  return words.flatMap((word, index) => (word === name ? [words[index + 1]!] : []))
}

describe('an agent behind walls', () => {
  test('an agent behind walls may read its script and its folder and write in its working folder, by default at the best level', () => {
    const cage = cageFor(request({}))
    expect(cage.launcher!.program).toMatch(/^\/usr\/.*python3/)
    expect(valuesOf(cage, '--level')).toEqual(['auto'])
    expect(valuesOf(cage, '--read')).toEqual(['/project', '/project/agent.py', expect.stringMatching(/\/python$/)])
    expect([valuesOf(cage, '--write'), cage.writes]).toEqual([['/project'], ['/project']])
    expect(valuesOf(cage, '--connect')).toEqual([])
    expect(cage.launcher!.words.slice(-4)).toEqual(['--', python, '/project/agent.py', '--fast'])
  })

  test('the walls give an agent neither a home folder nor a folder above one', () => {
    const cage = cageFor(request({ write: ['~', '~/out', '/home', '/', './own'] }, { cwd: '/home/me' }))
    expect(cage.writes).toEqual(['/home/me/out', '/home/me/own'])
  })

  test('an agent behind walls does not see files of the server where it may read or write, and only those', () => {
    const serverFiles = ['/project/iron_state.db', '/elsewhere/iron_state.db', '/project-other/x']
    const cage = cageFor(request({}, { serverFiles }))
    const left = ['iron-cage.yaml', 'iron-cage.yml', 'iron-cage.toml'].map((name) => `/project/${name}`)
    expect(valuesOf(cage, '--hide')).toEqual(['/project/iron_state.db', ...left])
    // Named to people are those that are there.
    expect(cage.hides).toEqual([])
  })

  test('an agent with a limited network reaches the gateway and the listed hosts', () => {
    const connect = ['db.internal:5432']
    expect(valuesOf(cageFor(request({ level: 'strict' })), '--connect')).toEqual(['127.0.0.1:8080'])
    expect(valuesOf(cageFor(request({ connect })), '--connect')).toEqual(['127.0.0.1:8080', 'db.internal:5432'])
  })

  test('an agent behind walls that is an installed program may read its environment, and the Python in a home that it was made from', () => {
    const home = realpathSync(mkdtempSync(join(tmpdir(), 'iron-cage-home-')))
    onTestFinished(() => rmSync(home, { recursive: true }))
    const [base, environment] = [join(home, '.pyenv/versions/3.13'), join(home, 'project/.venv')]
    for (const folder of [base, environment]) mkdirSync(join(folder, 'bin'), { recursive: true })
    writeFileSync(join(base, 'bin/python3.13'), '')
    symlinkSync(join(base, 'bin/python3.13'), join(environment, 'bin/python'))
    for (const file of ['pyvenv.cfg', 'bin/pytest']) writeFileSync(join(environment, file), '')
    const script = join(environment, 'bin/pytest')
    const cage = cageFor(
      request(
        {},
        { script, command: { program: script, args: [] }, environment: { HOME: home, PATH: process.env.PATH! } },
      ),
    )
    expect(valuesOf(cage, '--read')).toEqual(expect.arrayContaining([environment, base]))
  })

  test('an agent behind walls has its limits', () => {
    const cage = cageFor(request({ limits: { memory_mb: 512, processes: 20 } }))
    expect([valuesOf(cage, '--memory-mb'), valuesOf(cage, '--processes')]).toEqual([['512'], ['20']])
  })
})

describe('a machine without walls', () => {
  const agent = { command: { program: '/project/agent', args: [] } }

  test.each([
    ['a machine that is no Linux', { platform: 'darwin' as const }, /Linux/],
    ['a machine without Python', { ...agent, agentFolders: ['/usr/bin', '/usr/local', '/usr/lib'] }, /Python 3/],
  ])('%s starts an agent at the best level without any walls, and gives the reason', (_name, more, why) => {
    expect(cageFor(request({}, more))).toMatchObject({ launcher: null, why: expect.stringMatching(why) })
    for (const level of ['observe', 'standard', 'strict']) {
      expect(() => cageFor(request({ level }, more))).toThrow(
        expect.objectContaining({ code: 'sandbox_unavailable', message: expect.stringMatching(why) }),
      )
    }
  })

  test('without walls off is off', () => {
    expect(cageFor(request({ level: 'off' }))).toMatchObject({ launcher: null, why: 'switched off' })
  })
})
