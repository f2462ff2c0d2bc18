// Builds dist/types: what src/index.ts promises to those who import the package, and nothing that is behind it.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { root } from './bundle.mjs'

const work = mkdtempSync(join(tmpdir(), 'iron-cage-types-'))
try {
  execFileSync(
    process.execPath,
    [
      ...[`${root}node_modules/typescript/bin/tsc`, '--ignoreConfig', `${root}src/index.ts`, '--outDir', work],
      // Whether they are right is asked by npm run check.
      ...['--declaration', '--emitDeclarationOnly', '--noCheck', '--rootDir', root],
      ...['--target', 'es2024', '--module', 'esnext', '--moduleResolution', 'bundler'],
      ...['--allowImportingTsExtensions', '--resolveJsonModule', '--types', 'node'],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], cwd: root },
  )
  rmSync(`${root}dist/types`, { recursive: true, force: true })
  keep('index.ts', new Set())
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** Copies the declarations of a module, and of every module that they name. */
function keep(path, kept) {
  if (kept.has(path)) return
  kept.add(path)
  const file = path.replace(/\.ts$/, '.d.ts')
  const text = readFileSync(join(work, 'src', file), 'utf8')
  mkdirSync(dirname(`${root}dist/types/${file}`), { recursive: true })
  writeFileSync(`${root}dist/types/${file}`, text)
  for (const [, name] of text.matchAll(/(?:from |import\()['"](.+?)['"]/g)) {
    if (!name.startsWith('.'))
      throw new Error(`src/${path} shows a type of ${name}, which nobody has who installs the package`)
    keep(join(dirname(path), name), kept)
  }
}
