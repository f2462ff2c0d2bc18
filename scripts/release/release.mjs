// Builds everything that a release consists of, for the platform this runs on, into release/:
//
//   iron-cage-<version>-<os>-<arch>.tar.xz   the executable with its licenses
//   iron-cage-<version>.tgz                  the npm package
//   iron_cage-<version>-py3-none-<tag>.whl   the Python package with the executable; also pure, and as sources
//   iron_sandbox-…, iron_cli_py-…            pure wheels
//   iron-cage-<version>.cdx.json             bill of materials (CycloneDX)
//   NOTES.md, install.sh, SHA256SUMS
//
// `--check` builds twice, compares every byte, and lets the registries' own tools look at what they would get.
// `--out <folder>` puts them elsewhere. Nothing is published.
// `--built <folder>`, for tests: dist/ is built already and the executable is in that folder, the archive is compressed
// little, and the Python of `--python` has what builds packages.
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../bundle.mjs'
import { nodeItself, notices } from '../third-party.mjs'
import { billOfMaterials } from './bill-of-materials.mjs'
import { pythonWith, run } from './tools.ts'

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    check: { type: 'boolean' },
    built: { type: 'string' },
    python: { type: 'string' },
  },
})
const out = resolve(values.out ?? `${root}release`)
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const platform = `${process.platform}-${process.arch}`
const manifest = (folder) => readFileSync(join(folder, 'SHA256SUMS'), 'utf8')

/** Tags of wheels (PEP 425, PEP 600). The prebuilt SQLite binding needs glibc 2.34; others are untried. */
const WHEEL_TAGS = {
  'linux-x64': 'manylinux_2_34_x86_64',
  'linux-arm64': 'manylinux_2_34_aarch64',
  'darwin-x64': 'macosx_13_5_x86_64',
  'darwin-arm64': 'macosx_13_5_arm64',
}

// All timestamps of archives, in seconds: the oldest that a zip file can hold.
process.env.SOURCE_DATE_EPOCH = String(Date.UTC(1980, 0, 1) / 1000)
const python = values.python ?? pythonWith(`${root}scripts/release/requirements.txt`, `${root}.venv-release`)
/** Of xz. The lowest takes a fifth of the time for a tenth more. */
const LEVEL = values.built ? 0 : 3

if (values.check) await check()
else await release(out)

async function check() {
  const again = mkdtempSync(join(tmpdir(), 'iron-cage-release-'))
  try {
    await release(out)
    await release(again)
    if (manifest(out) !== manifest(again)) throw new Error(`two builds differ:\n${manifest(out)}${manifest(again)}`)
    console.log('✔ built twice: the same bytes')
  } finally {
    rmSync(again, { recursive: true, force: true })
  }
  const [wheels, packages] = [/\.(whl|tar\.gz)$/, /\.tgz$/].map((kind) =>
    readdirSync(out).filter((name) => kind.test(name)),
  )
  const checks = pythonWith(`${root}scripts/release/check-requirements.txt`, `${root}.venv-release-check`)
  run(checks, ['-m', 'twine', 'check', '--strict', ...wheels.map((name) => join(out, name))])
  console.log('✔ twine check')
  run('npx', ['publint', '--strict', join(out, packages[0])])
  run('npx', ['attw', join(out, packages[0]), '--profile', 'esm-only'])
  console.log('✔ publint, arethetypeswrong')
  const manifests = ['container/kubernetes.yaml', 'container/panel.kubernetes.yaml']
  run(join(dirname(checks), 'kubernetes-validate'), ['--strict', ...manifests])
  console.log('✔ kubernetes-validate')
}

async function release(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const work = mkdtempSync(join(tmpdir(), 'iron-cage-release-'))
  try {
    if (!values.built) await step('program', () => run(process.execPath, ['scripts/build.mjs', '--quiet']))
    await step('npm package', () => packNpm(folder))
    await step('executable', () => buildExecutable(work))
    const packages = JSON.parse(readFileSync(`${root}dist/third-party.json`, 'utf8'))
    writeFileSync(`${work}/THIRD_PARTY_NOTICES.txt`, notices([nodeItself(), ...packages]))
    writeFileSync(`${folder}/iron-cage-${version}.cdx.json`, billOfMaterials(version, [nodeItself(), ...packages]))
    await step('archive', () => archive(work, folder))
    await step('Python packages', () => buildWheels(work, folder))
    copyFileSync(`${root}scripts/release/install.sh`, `${folder}/install.sh`)
    writeFileSync(`${folder}/NOTES.md`, notesOf(version))
    writeFileSync(`${folder}/SHA256SUMS`, sums(folder))
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  for (const name of readdirSync(folder)) {
    console.log(`  ${(statSync(join(folder, name)).size / 1e6).toFixed(2).padStart(7)} MB  ${name}`)
  }
}

function packNpm(folder) {
  run(process.execPath, ['scripts/build-types.mjs'])
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder])
}

function buildExecutable(work) {
  if (values.built) return copyFileSync(join(values.built, 'iron-cage'), `${work}/iron-cage`)
  run(process.execPath, ['scripts/build-binary.mjs', '--quiet', '--out', work])
  rmSync(`${work}/SHA256SUMS`)
}

function archive(work, folder) {
  copyFileSync(`${root}LICENSE`, `${work}/LICENSE`)
  run('tar', [
    ...['--sort=name', `--mtime=@${process.env.SOURCE_DATE_EPOCH}`, '--owner=0', '--group=0', '--numeric-owner'],
    ...[
      `--use-compress-program=xz -T0 -${LEVEL} --block-size=32MiB`,
      '-cf',
      join(folder, `iron-cage-${version}-${platform}.tar.xz`),
    ],
    ...['-C', work, 'iron-cage', 'LICENSE', 'THIRD_PARTY_NOTICES.txt'],
  ])
}

/** From copies: building leaves folders beside the sources, and the licenses lie elsewhere. */
function buildWheels(work, folder) {
  const build = (source, words, env = {}) =>
    run(python, ['-m', 'build', '--no-isolation', ...words, '--outdir', folder, source], env)
  for (const name of ['iron_sandbox', 'iron_cli']) build(copyOf(`${root}python/${name}`, join(work, name)), ['--wheel'])

  const source = copyOf(`${root}python`, join(work, 'iron_cage'))
  build(source, ['--sdist', '--wheel'])
  copyFileSync(`${work}/THIRD_PARTY_NOTICES.txt`, `${source}/THIRD_PARTY_NOTICES.txt`)
  build(source, ['--wheel'], {
    IRON_CAGE_PROGRAM: `${work}/iron-cage`,
    IRON_CAGE_PLATFORM: WHEEL_TAGS[platform],
    IRON_CAGE_SBOM: join(folder, `iron-cage-${version}.cdx.json`),
  })
}

function copyOf(source, target) {
  cpSync(source, target, { recursive: true, filter: (path) => !/__pycache__|\.pyc$/.test(path) })
  copyFileSync(`${root}LICENSE`, `${target}/LICENSE`)
  return target
}

/** The changelog of this version. */
function notesOf(wanted) {
  const text = readFileSync(`${root}CHANGELOG.md`, 'utf8')
  const section = text.split(/^## /m).find((part) => part.startsWith(`${wanted}\n`))
  if (!section) throw new Error(`CHANGELOG.md has no section "## ${wanted}"`)
  return section.slice(wanted.length).trim().concat('\n')
}

/** A line for each file, as `sha256sum --check` reads it. */
function sums(folder) {
  const line = (name) =>
    `${createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex')}  ${name}\n`
  return readdirSync(folder).sort().map(line).join('')
}

async function step(name, work) {
  const startedAt = performance.now()
  process.stdout.write(`${name} … `)
  await work()
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}
