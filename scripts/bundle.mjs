// Shared by the builds: the program and the dashboard, bundled by esbuild.
import { cpSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Imports of packages for functions that are not called here. */
export const LEFT_OUT = ['@node-rs/xxhash']

/**
 * A module that imports `node:http` by name reads everything it exports, and so loads the WebSocket and the fetch that Node
 * has: three times as long as Node's own start.
 */
const httpByName = {
  name: 'http-by-name',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: 'http', namespace: 'node' }))
    onLoad({ filter: /^http$/, namespace: 'node' }, () => ({
      contents: "module.exports = process.getBuiltinModule('node:http')",
    }))
  },
}

/**
 * Imports of yargs that this program must not load: `escalade` looks for a package.json from the working folder up, and
 * `y18n` for languages beside this package, where an agent may have written them; `string-width` makes an
 * `Intl.Segmenter` when it is loaded, twice, which takes 24 ms of every start, and our help is ASCII.
 */
const YARGS_IMPORTS = {
  'escalade/sync': 'export default () => undefined',
  './build/lib/platform-shims/node.js':
    "import { format } from 'node:util'\nexport default { fs: {}, format, resolve: (...parts) => parts.join('/'), exists: () => false }",
  'string-width':
    "import { stripVTControlCharacters } from 'node:util'\nexport default (text) => stripVTControlCharacters(text).length",
}
const yargsWithoutFiles = {
  name: 'yargs-without-files',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(escalade\/sync|string-width|\.\/build\/lib\/platform-shims\/node\.js)$/ }, ({ path }) => ({
      path,
      namespace: 'yargs',
    }))
    onLoad({ filter: /./, namespace: 'yargs' }, ({ path }) => ({ contents: YARGS_IMPORTS[path] }))
  },
}

/** The program; `options` are esbuild's own. All that bundle here resolve to esbuild's result, with its `metafile`. */
export const bundleProgram = ({ define = {}, external = [], ...options }) =>
  build({
    entryPoints: [`${root}src/main.ts`],
    bundle: true,
    platform: 'node',
    define: { 'process.env.WS_NO_BUFFER_UTIL': '"1"', 'process.env.WS_NO_UTF_8_VALIDATE': '"1"', ...define },
    external: [...LEFT_OUT, ...external],
    plugins: [httpByName, yargsWithoutFiles],
    // Its main file contains another package, which only its source map names.
    alias: { tldts: 'tldts/dist/es6/index.js' },
    logLevel: 'warning',
    metafile: true,
    ...options,
  })

/** Threads, each a separate program that `threadFile` of src/core/package-folder.ts finds by its name. */
export const bundleThreads = (options) =>
  bundleProgram({
    entryPoints: ['gateway/bodies/large-thread.ts', 'budget/tokenizer-thread.ts', 'db/check-thread.ts'].map((path) => ({
      in: `${root}src/${path}`,
      out: path.slice(path.lastIndexOf('/') + 1, -'.ts'.length),
    })),
    target: 'node22',
    external: ['better-sqlite3'],
    ...options,
  })

/** The dashboard, from `web/main.tsx`. */
export const bundleDashboard = (folder) => bundlePage('main.tsx', 'index.html', folder)

/** The page of a Control Panel, from `web/fleet/main.tsx`. */
export const bundleFleetPage = (folder) => bundlePage('fleet/main.tsx', 'fleet/index.html', folder)

async function bundlePage(program, page, folder) {
  mkdirSync(folder, { recursive: true })
  const result = await build({
    entryPoints: [`${root}web/${program}`],
    outdir: folder,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
    metafile: true,
  })
  cpSync(`${root}web/${page}`, `${folder}/index.html`)
  return result
}

/** Files of the program besides the dashboard: paths in the project, and in the package. */
export const programFiles = () => [
  'demo/lead_gen_agent.py',
  'demo/leads.csv',
  ...filesBelow('strategies'),
  ...filesBelow('python/iron_cage'),
  'python/iron_runtime.py',
  ...filesBelow('python/iron_sandbox').filter((path) => path.endsWith('.py')),
  ...filesBelow('python/shim'),
]

/** Paths in the project; without what Python leaves behind. */
export const filesBelow = (path) =>
  statSync(root + path).isDirectory()
    ? readdirSync(root + path)
        .filter((name) => !/^(__pycache__|\..*|.*\.pyc)$/.test(name))
        .flatMap((name) => filesBelow(`${path}/${name}`))
    : [path]
