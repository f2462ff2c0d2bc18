/**
 * A release, and every artifact of it used as a stranger would: alone in an empty folder. binary.test.ts tests the
 * executable, package.test.ts the npm package.
 */
import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { artifact, executable, release as released } from './released.ts'

const root = resolve(import.meta.dirname, '../..')
const work = mkdtempSync(join(tmpdir(), 'iron-cage-release-test-'))
const { version } = packageJson
const run = promisify(execFile)
const python = resolve(root, '.venv-test/bin/python')

let release: string
beforeAll(async () => {
  release = await released()
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

const names = () => readdirSync(release)
const named = (end: string) => artifact(release, end)
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')

function emptyFolder(): string {
  const folder = mkdtempSync(join(work, 'place-'))
  mkdirSync(join(folder, 'home'))
  return folder
}

/** An environment that has nothing but Python and the wheel. */
async function environmentWith(wheel: string): Promise<string> {
  const folder = emptyFolder()
  await run(python, ['-m', 'venv', '--without-pip', join(folder, 'venv')])
  const site = ['--python', join(folder, 'venv/bin/python')]
  await run(python, ['-m', 'pip', ...site, 'install', '--quiet', '--no-deps', '--no-index', wheel])
  return folder
}

test('a release has every artifact, in one version, with its checksum', () => {
  expect(
    names()
      .map((name) => name.replace(version, '<version>'))
      .sort(),
  ).toEqual([
    'NOTES.md',
    'SHA256SUMS',
    'install.sh',
    `iron-cage-<version>-${process.platform}-${process.arch}.tar.xz`,
    'iron-cage-<version>.cdx.json',
    'iron-cage-<version>.tgz',
    'iron_cage-<version>-py3-none-any.whl',
    'iron_cage-<version>-py3-none-manylinux_2_34_x86_64.whl',
    'iron_cage-<version>.tar.gz',
    'iron_cli_py-<version>-py3-none-any.whl',
    'iron_sandbox-<version>-py3-none-any.whl',
  ])
  const sums = readFileSync(join(release, 'SHA256SUMS'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('  '))
  expect(sums.map(([, name]) => name)).toEqual(
    names()
      .filter((name) => name !== 'SHA256SUMS')
      .sort(),
  )
  for (const [sum, name] of sums) expect(sha256(join(release, name!)), name).toBe(sum)
})

test('the release is built here with the tools of every release', () => {
  const linesOf = (name: string) =>
    readFileSync(join(root, 'scripts', name), 'utf8')
      .trim()
      .split('\n')
  const tools = linesOf('release/requirements.txt').filter((line) => !line.startsWith('#'))
  expect(tools).toHaveLength(3)
  expect(linesOf('test-requirements.txt')).toEqual(expect.arrayContaining(tools))
})

/**
 * Evidence that the program has a part of Node without a version: a name in its code, or the file that came from there.
 */
const PROOFS: Readonly<Record<string, string>> = {
  'abseil-cpp': 'third_party/abseil-cpp',
  caja: 'internal/freeze_intrinsics',
  HdrHistogram: 'hdr_init',
  inspector_protocol: 'inspector_protocol',
  large_pages: 'largepage',
  minimatch: 'minimatch',
  'node-fs-extra': 'internal/fs/cp',
  'node-heapdump': 'HeapSnapshot',
  'on-exit-leak-free': 'internal/process/finalization',
  'Punycode.js': 'punycode',
  rimraf: 'internal/fs/rimraf',
  SipHash: 'SipHash_Init',
  'sonic-boom': 'internal/streams/fast-utf8-stream',
  swc: 'swc',
}

describe('the bill of materials and the notices', () => {
  interface Component {
    name: string
    group?: string
    version?: string
    licenses: { expression?: string; license?: { id?: string; name?: string } }[]
    components?: Component[]
  }
  const components = () =>
    (JSON.parse(readFileSync(named('.cdx.json'), 'utf8')) as { components: Component[] }).components
  const partsOf = (name: string) => components().find((one) => one.name === name)!.components!
  const labelOf = ({ name, version }: Component) => (version ? `${name} ${version}` : name)

  test('the bill of materials and the notices name the packages that the source maps of the program name, those of its pages, the native ones, and no other', () => {
    const maps = readdirSync(join(root, 'dist')).filter((name) => name.endsWith('.mjs.map'))
    const sources = maps.flatMap(
      (name) => (JSON.parse(readFileSync(join(root, 'dist', name), 'utf8')) as { sources: string[] }).sources,
    )
    const packages = sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? [])
    // A package's own source maps name folders of its author's machine.
    const real = new Set(packages.filter((name) => existsSync(join(root, 'node_modules', name, 'package.json'))))
    expect(real.size).toBeGreaterThan(15)
    const pages = ['preact', '@preact/signals', '@preact/signals-core']
    const native = ['better-sqlite3', '@node-rs/argon2', '@node-rs/argon2-linux-x64-gnu']
    // Of some packages there are two versions.
    expect([...new Set(components().map(({ name }) => name))].sort()).toEqual(
      [...real, ...pages, ...native, 'node'].sort(),
    )
  })

  test('the bill of materials and the notices name every part that the executable itself reports, each in its version', async () => {
    // Those of the very Node that the executable is a copy of.
    const program = readFileSync(join(await executable(), 'iron-cage'))
    expect(program.includes(process.version)).toBe(true)
    const data = ['node', 'modules', 'napi', 'cldr', 'tz', 'unicode']
    const reported = Object.entries(process.versions).filter(([name, version]) => version && !data.includes(name))
    const listed = partsOf('node').flatMap(({ version }) => version ?? [])
    expect(listed.sort()).toEqual(reported.map(([, version]) => version!).sort())
    for (const { name, version } of partsOf('node')) {
      expect(program.includes(version?.split('-')[0] ?? PROOFS[name]!), name).toBe(true)
    }
  })

  test('the bill of materials and the notices name exactly the parts of the native packages', () => {
    const database = readFileSync(join(root, 'node_modules/better-sqlite3/prebuilds/linux-x64.node'), 'latin1')
    expect(partsOf('better-sqlite3').map(labelOf)).toEqual([expect.stringMatching(/^SQLite \d+\.\d+\.\d+$/)])
    expect(database).toContain(partsOf('better-sqlite3')[0]!.version!)
    const folder = join(root, 'node_modules/@node-rs/argon2-linux-x64-gnu')
    const binary = readFileSync(join(folder, readdirSync(folder).find((name) => name.endsWith('.node'))!), 'latin1')
    const crates = [...binary.matchAll(/([a-z][\w-]*)-(\d+\.\d+\.\d+)[^/]*\/src\//g)].map(
      ([, name, of]) => `${name} ${of}`,
    )
    expect(partsOf('@node-rs/argon2').map(labelOf).sort()).toEqual([...new Set(crates)].sort())
  })

  test('the bill of materials and the notices give each part a license; one crate states none', () => {
    const all = components().flatMap((one) => [one, ...(one.components ?? [])])
    for (const { name, licenses } of all) expect(licenses, name).toHaveLength(1)
    const unknown = all.filter(({ licenses }) => licenses[0]!.license?.name === 'unknown')
    expect(unknown.map(({ name }) => name)).toEqual(['argon2-rust'])
  })

  test('the bill of materials and the notices are in the wheel with the executable, the license of each package in full', () => {
    const list =
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); n = [x for x in z.namelist() if x.endswith(('NOTICES.txt', '.cdx.json'))]; print(*n); print(z.read(next(x for x in n if x.endswith('.txt'))).decode())"
    const out = execFileSync(python, ['-c', list, named('manylinux_2_34_x86_64.whl')], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    })
    expect(out).toContain(`iron_cage-${version}.dist-info/sboms/iron-cage-${version}.cdx.json`)
    const parts = out.split(`\n${'-'.repeat(80)}\n\n`)
    for (const { name, version: of } of components()) {
      const part = parts.find((text) => text.includes(`${name} ${of} (`))
      expect(part?.length, name).toBeGreaterThan(500)
    }
  })
})

describe('the wheel for this platform', () => {
  let folder: string
  let env: { PATH: string; HOME: string }
  beforeAll(async () => {
    folder = await environmentWith(named('manylinux_2_34_x86_64.whl'))
    env = { PATH: `${join(folder, 'venv/bin')}:/usr/bin:/bin`, HOME: join(folder, 'home') }
  })

  test('the wheel for this platform is the executable, byte by byte, under both names', async () => {
    for (const name of ['iron-cage', 'iron_cage']) {
      expect((await run(name, ['version', '--json'], { cwd: folder, env })).stdout).toContain(`"version": "${version}"`)
    }
    expect(sha256(join(folder, 'venv/bin/iron-cage'))).toBe(sha256(join(await executable(), 'iron-cage')))
  })

  test('the wheel for this platform gives a runtime to a program whose PATH knows nothing of it', async () => {
    const code = 'import iron_cage\nwith iron_cage.AgentRuntime(budget=1) as runtime: print(runtime.budget.limit)'
    const own = join(folder, 'venv/bin/python')
    expect((await run(own, ['-c', code], { cwd: folder, env: { ...env, PATH: '/usr/bin:/bin' } })).stdout).toBe('1\n')
  })
})

test('the wheel for other platforms reports the missing program, and how to install it', async () => {
  const folder = await environmentWith(named(`iron_cage-${version}-py3-none-any.whl`))
  const env = { PATH: `${join(folder, 'venv/bin')}:/usr/bin:/bin`, HOME: join(folder, 'home') }
  for (const name of ['iron-cage', 'iron_cage']) {
    await expect(run(name, ['version'], { cwd: folder, env })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('npm install -g iron-cage'),
    })
  }
})

describe('install.sh', () => {
  const install = (folder: string, from: string) => {
    const env = { PATH: '/usr/bin:/bin', HOME: join(folder, 'home'), IRON_CAGE_RELEASE: from }
    return run('sh', [join(release, 'install.sh')], { cwd: folder, env })
  }

  test('install.sh downloads the executable of this platform, verifies it, and installs it for this user', async () => {
    const server = createServer((request, response) => response.end(readFileSync(join(release, request.url!))))
    await new Promise<void>((listens) => server.listen(0, '127.0.0.1', listens))
    const folder = emptyFolder()
    try {
      const { stdout } = await install(folder, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      expect(stdout).toContain(`✔ iron-cage ${version} in ${folder}/home/.local/bin`)
      expect(stdout).toContain('is not on your PATH')
    } finally {
      server.close()
    }
    const program = join(folder, 'home/.local/bin/iron-cage')
    expect(sha256(program)).toBe(sha256(join(await executable(), 'iron-cage')))
    expect((await run(program, ['version'], { cwd: folder, env: { HOME: folder } })).stdout).toBe(
      `iron-cage ${version}\n`,
    )
  })

  test('install.sh installs nothing when a byte differs', async () => {
    const folder = emptyFolder()
    const copy = join(folder, 'release')
    mkdirSync(copy)
    const name = names().find((file) => file.endsWith('.tar.xz'))!
    writeFileSync(join(copy, 'SHA256SUMS'), readFileSync(join(release, 'SHA256SUMS')))
    writeFileSync(join(copy, name), Buffer.concat([readFileSync(join(release, name)), Buffer.from('!')]))
    await expect(install(folder, copy)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nothing was installed'),
    })
    expect(readdirSync(join(folder, 'home'))).toEqual([])
  })
})
