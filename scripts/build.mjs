// Builds dist/: the program as one file, the dashboard beside it. `--quiet` prints errors only.
import { cpSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const quiet = process.argv.includes('--quiet')
const startedAt = performance.now()

// Beside dist/ and into its place at the end: a program that runs from it keeps its files, and a failed build harms nothing.
const made = `${root}dist.${process.pid}`
mkdirSync(`${made}/web`, { recursive: true })

/** zod brings its messages in fifty languages; ours are English. */
const englishOnly = {
  name: 'english-only',
  setup: ({ onLoad }) =>
    onLoad({ filter: /zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js'",
      resolveDir: `${root}node_modules/zod/v4/locales`,
    })),
}

await Promise.all([
  build({
    entryPoints: [`${root}src/main.ts`],
    outdir: made,
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
    plugins: [englishOnly],
    logLevel: 'warning',
  }),
  build({
    entryPoints: [`${root}web/main.tsx`, `${root}web/styles.css`],
    outdir: `${made}/web`,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
  }),
])
cpSync(`${root}web/index.html`, `${made}/web/index.html`)
rmSync(`${root}dist`, { recursive: true, force: true })
renameSync(made, `${root}dist`)

if (!quiet) {
  const kilobytes = (file) => `${Math.round(statSync(`${root}dist/${file}`).size / 1024)} KB`
  console.log(
    `built in ${Math.round(performance.now() - startedAt)} ms: iron-cage.mjs ${kilobytes('iron-cage.mjs')}, web/main.js ${kilobytes('web/main.js')}`,
  )
}
