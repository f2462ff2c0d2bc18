// Builds dist/iron-cage, the whole product in one executable for the platform this runs on, and SHA256SUMS beside it.
// `--out <folder>` puts them elsewhere, `--quiet` prints errors only.
//
// It is this very Node with our program inside (Node's single-executable support), and with every file the program reads:
// src/core/package-folder.ts lays those out where the program starts.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  bundleDashboard,
  bundleFleetPage,
  bundleProgram,
  bundleThreads,
  filesBelow,
  LEFT_OUT,
  programFiles,
  root,
} from './bundle.mjs'
import { nodeItself, notices, packagesOf } from './third-party.mjs'

const { values } = parseArgs({ options: { out: { type: 'string' }, quiet: { type: 'boolean' } } })
const out = resolve(values.out ?? `${root}dist`)
const startedAt = performance.now()
const work = mkdtempSync(join(tmpdir(), 'iron-cage-binary-'))

try {
  const results = await Promise.all([
    bundleForExecutable(work),
    bundleThreads({ outdir: `${work}/dist`, outExtension: { '.js': '.cjs' }, format: 'cjs' }),
    bundleDashboard(`${work}/dist/web`),
    bundleFleetPage(`${work}/dist/panel`),
  ])
  writeFileSync(`${work}/dist/THIRD_PARTY_NOTICES.txt`, notices([nodeItself(), ...packagesOf(results.flat())]))
  prepareBlob([
    ...[...programFiles(), ...nativeParts(), 'LICENSE'].map((path) => [path, root + path]),
    ...readdirSync(`${work}/dist`, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [relative(work, path), path]),
  ])
  const binary = `${work}/iron-cage`
  copyFileSync(process.execPath, binary)
  chmodSync(binary, 0o755)
  // Before the blob goes in: afterwards strip would take it out again. Symbols are a sixth of Node.
  if (process.platform === 'linux') quietly('strip', ['--strip-all', binary])
  if (process.platform === 'darwin') quietly('codesign', ['--remove-signature', binary])
  quietly(process.execPath, [
    ...[`${root}node_modules/postject/dist/cli.js`, binary, 'NODE_SEA_BLOB', `${work}/blob`],
    ...['--sentinel-fuse', 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2', '--macho-segment-name', 'NODE_SEA'],
  ])
  if (process.platform === 'darwin') quietly('codesign', ['--sign', '-', binary])
  const content = readFileSync(binary)
  mkdirSync(out, { recursive: true })
  // Under another name first: a program that runs from there keeps its file.
  copyFileSync(binary, `${out}/iron-cage.${process.pid}`)
  renameSync(`${out}/iron-cage.${process.pid}`, `${out}/iron-cage`)
  writeFileSync(`${out}/SHA256SUMS`, `${sha256(content)}  iron-cage\n`)
  if (!values.quiet) {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`built in ${seconds} s: ${out}/iron-cage ${(content.length / 1e6).toFixed(1)} MB`)
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}

/**
 * An executable's program is CommonJS in one piece. The files that it loads from its folder: native packages, and those
 * that are imported when they are needed, such as the tokenizer; in that one piece they would cost memory always.
 */
async function bundleForExecutable(folder) {
  const later = new Map()
  const program = await bundleProgram({
    outfile: `${folder}/program.cjs`,
    format: 'cjs',
    target: `node${process.versions.node}`,
    define: { 'import.meta.url': '__programUrl' },
    // As Node wraps a module; the executable's main.cjs calls it.
    banner: {
      js: `(function (require, module, exports) {
const __programUrl = require('node:url').pathToFileURL(process.execPath).href;`,
    },
    footer: { js: '})' },
    plugins: [
      {
        name: 'laid-out-packages',
        setup(build) {
          build.onResolve({ filter: /^(better-sqlite3|@node-rs\/argon2)$/ }, ({ path }) => ({
            path,
            namespace: 'laid-out',
          }))
          build.onResolve({ filter: /^[a-z@]/ }, ({ path, kind }) => {
            if (kind !== 'dynamic-import' || isBuiltin(path) || LEFT_OUT.includes(path)) return
            later.set(path, `dist/${path.replace(/\W+/g, '-')}.cjs`)
            return { path: `./${later.get(path)}`, namespace: 'laid-out' }
          })
          build.onLoad({ filter: /.*/, namespace: 'laid-out' }, ({ path }) => ({
            contents: `const { packageFolder } = require('./src/core/package-folder.ts')
              module.exports = require('node:module').createRequire(packageFolder())('${path}')`,
            resolveDir: root,
          }))
        },
      },
    ],
  })
  const packages = [...later].map(([name, path]) =>
    bundleProgram({
      entryPoints: [name],
      absWorkingDir: root,
      outfile: `${folder}/${path}`,
      format: 'cjs',
      minify: true,
    }),
  )
  return [program, ...(await Promise.all(packages))]
}

/** Writes what Node calls a single-executable blob. `files`: path in the package, and on this disk. */
function prepareBlob(files) {
  const manifest = Object.fromEntries(files.map(([path, file]) => [path, sha256(readFileSync(file))]))
  writeFileSync(`${work}/manifest.json`, JSON.stringify(manifest))
  const config = {
    main: `${root}scripts/executable/main.cjs`,
    output: `${work}/blob`,
    disableExperimentalSEAWarning: true,
    execArgv: ['--no-warnings'],
    // Else NODE_OPTIONS could make the executable run other code.
    execArgvExtension: 'none',
    assets: {
      ...Object.fromEntries(files),
      'manifest.json': `${work}/manifest.json`,
      'program.cjs': `${work}/program.cjs`,
      'program.cache': `${work}/program.cache`,
    },
  }
  writeFileSync(`${work}/sea.json`, JSON.stringify(config))
  // A fixed seed: V8 writes the same cache each time, and so the executable has the same bytes.
  quietly(process.execPath, ['--random-seed=42', `${root}scripts/executable/compile.mjs`, `${work}/sea.json`])
  quietly(process.execPath, ['--experimental-sea-config', `${work}/sea.json`])
}

/** Packages with machine code, each with the one build that this platform loads; paths in the project. */
function nativeParts() {
  const sqlite = 'node_modules/better-sqlite3'
  const argon2 = 'node_modules/@node-rs/argon2'
  const { optionalDependencies } = JSON.parse(readFileSync(`${root}${argon2}/package.json`, 'utf8'))
  return [
    ...['package.json', 'LICENSE', 'lib', `prebuilds/${process.platform}-${process.arch}.node`].map(
      (name) => `${sqlite}/${name}`,
    ),
    ...['package.json', 'LICENSE', 'index.js'].map((name) => `${argon2}/${name}`),
    // npm has installed those of this platform only.
    ...Object.keys(optionalDependencies)
      .map((name) => `node_modules/${name}`)
      .filter((path) => existsSync(root + path)),
  ].flatMap(filesBelow)
}

/** Its output is printed only when it fails. */
function quietly(program, args) {
  execFileSync(program, args, { stdio: 'pipe' })
}

function sha256(content) {
  return createHash('sha256').update(content).digest('hex')
}
