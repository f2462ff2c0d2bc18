// Builds dist/: the program as one file, the dashboard beside it. `--quiet` prints errors only.
import { cpSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const quiet = process.argv.includes('--quiet')
const startedAt = performance.now()

rmSync(`${root}dist`, { recursive: true, force: true })
mkdirSync(`${root}dist/web`, { recursive: true })

await Promise.all([
  build({
    entryPoints: [`${root}src/main.ts`],
    outdir: `${root}dist`,
    entryNames: 'iron-cage',
    chunkNames: 'chunks/[name]-[hash]',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true, // keeps `await import()` of the tokenizer and the price list lazy
    format: 'esm',
    platform: 'node',
    target: 'node22',
    sourcemap: true,
    sourcesContent: false,
    // Native addons stay outside; ESM has no require, which some bundled packages call.
    external: ['better-sqlite3', '@node-rs/argon2'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"' },
    logLevel: 'warning',
  }),
  build({
    entryPoints: [`${root}web/main.tsx`, `${root}web/styles.css`],
    outdir: `${root}dist/web`,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
  }),
])
cpSync(`${root}web/index.html`, `${root}dist/web/index.html`)

if (!quiet) {
  const kilobytes = (file) => `${Math.round(statSync(`${root}dist/${file}`).size / 1024)} KB`
  console.log(
    `built in ${Math.round(performance.now() - startedAt)} ms: iron-cage.mjs ${kilobytes('iron-cage.mjs')}, web/main.js ${kilobytes('web/main.js')}`,
  )
}
