/**
 * Uses every artifact of a release as a stranger would, each in an empty folder with an empty home, and plays the demo
 * with it: `npm run release`, then `npm run release:try`. All must pass the same checkpoints. Writes docs/artifacts.md.
 *
 * Needs root, Podman and mmdebstrap (for the image), and PyPI and npm (for uv and for the two packages that ours needs).
 */
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buildImages, imageSizeMb, PYTHON_IMAGE, runOnce, tryServer } from './image.ts'
import { tryPanels } from './panels.ts'
import { pythonWith, root } from './tools.ts'

const release = `${root}release`
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string }
const wheel = `iron_cage-${version}-py3-none-manylinux_2_34_x86_64.whl`
const work = mkdtempSync(join(tmpdir(), 'iron-cage-try-'))
/** Programs that any system has; Node is not among them. */
const TOOLS = [
  'python3',
  'sh',
  'env',
  'tar',
  'xz',
  'cp',
  'mv',
  'rm',
  'mkdir',
  'mktemp',
  'sed',
  'cut',
  'uname',
  'sha256sum',
]
const DEMO = ['demo', '--check', '--port', '0']

interface Way {
  /** As a user types it. */
  typed: string
  artifact: string
  /** The commands to type once; the rest is `demo`. */
  install: (folder: string) => string[][]
  program: (folder: string) => string[]
  /** Folders of the PATH, before the system's tools. */
  path?: (folder: string) => string[]
  /** (Default: the size of the folder.) */
  installedMb?: () => number
}

const uv = pythonWith(`${root}scripts/release/check-requirements.txt`, `${root}.venv-release-check`).replace(
  /python$/,
  'uv',
)
const fileOf = (name: string) => join(release, name)
const WAYS: readonly Way[] = [
  {
    typed: `pip install ./${wheel} && iron-cage demo`,
    artifact: wheel,
    install: () => [
      ['python3', '-m', 'venv', 'venv'],
      ['venv/bin/pip', 'install', '--no-index', '--quiet', fileOf(wheel)],
    ],
    program: () => ['iron-cage'],
    path: (folder) => [join(folder, 'venv/bin')],
  },
  {
    typed: `uvx --from ./${wheel} iron-cage demo`,
    artifact: wheel,
    install: () => [],
    program: () => [uv, 'tool', 'run', '--offline', '--from', fileOf(wheel), 'iron-cage'],
  },
  {
    typed: `npx ./iron-cage-${version}.tgz demo`,
    artifact: `iron-cage-${version}.tgz`,
    install: () => [['cp', fileOf(`iron-cage-${version}.tgz`), '.']],
    program: () => ['npx', '--yes', `./iron-cage-${version}.tgz`],
    path: () => [dirname(process.execPath), dirname(execFileSync('which', ['npx'], { encoding: 'utf8' }))],
  },
  {
    typed: './iron-cage demo',
    artifact: archive(),
    install: () => [['tar', '-xf', fileOf(archive())]],
    program: (folder) => [join(folder, 'iron-cage')],
  },
  {
    typed: 'sh ./release/install.sh && iron-cage demo',
    artifact: archive(),
    install: () => [['env', `IRON_CAGE_RELEASE=${release}`, 'sh', fileOf('install.sh')]],
    program: () => ['iron-cage'],
    path: (folder) => [join(folder, 'home/.local/bin')],
  },
  {
    typed: 'docker run --rm --network none iron-cage:python demo',
    artifact: archive(),
    install: () => [],
    program: () => runOnce(PYTHON_IMAGE),
    path: () => ['/usr/bin', '/usr/sbin'],
    installedMb: () => imageSizeMb(PYTHON_IMAGE),
  },
]

function archive(): string {
  return readdirSync(release).find((name) => name.endsWith('.tar.xz'))!
}

try {
  console.log('images …')
  buildImages()
  const tools = toolsFolder()
  const results = WAYS.map((way) => tryOne(way, tools))
  const [first, ...others] = results.map(({ checkpoints }) => checkpoints)
  const different = others.filter((checkpoints) => checkpoints !== first)
  if (different.length > 0) throw new Error(`not the same checkpoints:\n${[first, ...different].join('\n\n')}`)
  const server = await tryServer()
  const panels = await tryPanels()
  console.log([...server, ...panels].map((sentence) => `✔ ${sentence}`).join('\n'))
  writeFileSync(`${root}docs/artifacts.md`, page(results, first!, server, panels))
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** A folder with links to the system's tools alone. */
function toolsFolder(): string {
  const folder = join(work, 'tools')
  mkdirSync(folder)
  for (const name of TOOLS) {
    const places = execFileSync('which', ['-a', name], { encoding: 'utf8' }).split('\n')
    // Not a version manager's shim of the real program.
    symlinkSync(places.find((path) => !path.includes('/.'))!, join(folder, name))
  }
  return folder
}

interface Result {
  way: Way
  installS: number
  demoS: number
  installedMb: number
  checkpoints: string
}

function tryOne(way: Way, tools: string): Result {
  const folder = mkdtempSync(join(work, 'place-'))
  const home = join(folder, 'home')
  mkdirSync(home)
  const PATH = [...(way.path?.(folder) ?? []), tools].map((part) => part.trim()).join(':')
  const env = { PATH, HOME: home, UV_PYTHON_DOWNLOADS: 'never', NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS }
  const run = ([program, ...words]: string[]): string =>
    execFileSync(program!, words, { cwd: folder, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const timed = <Value>(act: () => Value): [Value, seconds: number] => {
    const startedAt = performance.now()
    return [act(), (performance.now() - startedAt) / 1000]
  }
  const [, installS] = timed(() => way.install(folder).forEach(run))
  // The first run of uvx and npx installs; the second shows the demo alone.
  const program = way.program(folder)
  const [, firstS] = timed(() => run([...program, 'version']))
  const [out, demoS] = timed(() => run([...program, ...DEMO]))
  const checkpoints = out
    .split('\n')
    .filter((line) => line.startsWith('✔ '))
    .join('\n')
  if (!/✔ the end /.test(checkpoints) || out.includes('✖ ')) throw new Error(`${way.typed}\n${out}`)
  const result = {
    way,
    installS: installS + firstS,
    demoS,
    installedMb: way.installedMb?.() ?? sizeMb(folder),
    checkpoints,
  }
  console.log(
    `✔ ${way.typed}: ${result.installS.toFixed(1)} s, ${demoS.toFixed(1)} s, ${result.installedMb.toFixed(0)} MB`,
  )
  return result
}

function sizeMb(folder: string): number {
  return Number(execFileSync('du', ['-sk', '--apparent-size', folder], { encoding: 'utf8' }).split('\t')[0]) / 1e3
}

function page(
  results: readonly Result[],
  checkpoints: string,
  server: readonly string[],
  panels: readonly string[],
): string {
  const rows = results.map(({ way, installS, demoS, installedMb }) =>
    [
      `\`${way.typed}\``,
      `${(statSync(fileOf(way.artifact)).size / 1e6).toFixed(1)} MB`,
      `${installedMb.toFixed(0)} MB`,
      `${installS.toFixed(1)} s`,
      `${demoS.toFixed(1)} s`,
    ].join(' | '),
  )
  return `# Artifacts, tried

What \`npm run release:try\` saw on ${new Date().toISOString().slice(0, 10)} with the artifacts of \`npm run release\`, on Linux x64, each in an
empty folder with an empty home. No \`node\` was on the PATH of any but \`npx\`. Each played \`demo --check\`: a hundred leads at full
speed.

| typed | download | on disk | until it says its version | demo |
| --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}

"On disk" is everything the folder holds afterwards, with the files that the executable unpacks and, for pip, the environment;
for the image, its base. Times are of one run on two shared cores. All passed the same checkpoints:

\`\`\`text
${checkpoints}
\`\`\`

The image was built by Podman from [container/Dockerfile](../container/Dockerfile); its base was made from Debian's packages in place of
\`debian:12-slim\` and \`python:3.13-slim\`. Of the server's image, started as in
[compose.yaml](../container/compose.yaml), this was seen:

${server.map((sentence) => `- ${sentence}`).join('\n')}

Of two panels of the same image, started as in [panel.compose.yaml](../container/panel.compose.yaml) on Debian's PostgreSQL in place of
\`postgres:17\`:

${panels.map((sentence) => `- ${sentence}`).join('\n')}
`
}
