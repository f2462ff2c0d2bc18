// Builds dist/: the program as one file, the dashboard beside it. `--quiet` prints errors only.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { bundleDashboard, bundleFleetPage, bundleProgram, bundleThreads, root } from './bundle.mjs'
import { notices, packagesOf } from './third-party.mjs'

const quiet = process.argv.includes('--quiet')
const startedAt = performance.now()

// Beside dist/ and into its place at the end: a program that runs from it keeps its files, and a failed build harms nothing.
const made = `${root}dist.${process.pid}`
mkdirSync(made)
process.once('exit', () => rmSync(made, { recursive: true, force: true }))

const results = await Promise.all([
  bundleProgram({
    // The last one is loaded by commands that run a server; tests open it too, though it is not public.
    entryPoints: { 'iron-cage': `${root}src/main.ts`, index: `${root}src/index.ts`, runtime: `${root}src/runtime.ts` },
    outdir: made,
    // No folder below: the program looks for its files beside the folder of its modules.
    chunkNames: 'chunk-[name]-[hash]',
    outExtension: { '.js': '.mjs' },
    splitting: true, // keeps `await import()` of the price list lazy
    format: 'esm',
    target: 'node22',
    sourcemap: true,
    sourcesContent: false,
    // Native addons stay outside.
    external: ['better-sqlite3', '@node-rs/argon2'],
  }),
  bundleThreads({
    outdir: made,
    chunkNames: 'chunk-thread-[name]-[hash]',
    outExtension: { '.js': '.mjs' },
    splitting: true, // one vocabulary of the tokenizer is loaded without the other
    format: 'esm',
    sourcemap: true,
    sourcesContent: false,
  }),
  bundleDashboard(`${made}/web`),
  bundleFleetPage(`${made}/panel`),
])
giveRequire(results[0])
const packages = packagesOf(results)
writeFileSync(`${made}/THIRD_PARTY_NOTICES.txt`, notices(packages))
writeFileSync(`${made}/third-party.json`, JSON.stringify(packages))
// Two renames: a program that runs from there and loads another module meanwhile finds one or the other.
if (existsSync(`${root}dist`)) renameSync(`${root}dist`, `${made}.old`)
renameSync(made, `${root}dist`)
rmSync(`${made}.old`, { recursive: true, force: true })

/**
 * An ES module has no `require`, which some bundled packages call. In the few modules that do: a hundred are loaded at a start,
 * and making one takes as long as reading a module. On their first line, so that source maps stay right.
 */
function giveRequire({ metafile }) {
  const made =
    "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); "
  for (const path of Object.keys(metafile.outputs).filter((name) => name.endsWith('.mjs'))) {
    const text = readFileSync(path, 'utf8')
    if (/(?<![\w.$])require\b/.test(text)) writeFileSync(path, made + text)
  }
}

if (!quiet) {
  const kilobytes = (file) => `${Math.round(statSync(`${root}dist/${file}`).size / 1024)} KB`
  console.log(
    `built in ${Math.round(performance.now() - startedAt)} ms: iron-cage.mjs ${kilobytes('iron-cage.mjs')}, web/main.js ${kilobytes('web/main.js')}`,
  )
}
