/**
 * Formats and lints the Python with ruff, by the rules of python/pyproject.toml. `--write`: fixes problems where
 * possible. It is WebAssembly from npm: `npm ci` brings it, in the version of package-lock.json, also where there is no
 * Python.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { PositionEncoding, Workspace } from '@astral-sh/ruff-wasm-nodejs'
import { parse } from 'smol-toml'

const root = resolve(import.meta.dirname, '..')
const FOLDERS = ['python', 'demo', 'test', 'scripts']
const isWriting = process.argv.includes('--write')

const { ruff } = parse(readFileSync(join(root, 'python/pyproject.toml'), 'utf8')).tool
const workspace = new Workspace(ruff, PositionEncoding.Utf32)

const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.py') && !/(^|\/)(\.|node_modules|build)/.test(name))
    .map((name) => join(folder, name)),
)
  .filter((file) => !ruff['extend-exclude'].includes(file))
  .sort()

/** The file as it should be; as it is where it is no Python, which `check` reports. */
function format(source) {
  try {
    return workspace.format(source)
  } catch {
    return source
  }
}

/** Ruff sorts imports as a linter, not as a formatter. */
function withSortedImports(source) {
  const lines = source.split('\n')
  const edits = workspace.check(source).flatMap(({ code, fix }) => (code === 'I001' ? fix.edits : []))
  for (const { content, location, end_location: end } of edits.reverse()) {
    const [first, last] = [location.row - 1, end.row - 1]
    const before = lines[first].slice(0, location.column - 1)
    const after = (lines[last] ?? '').slice(end.column - 1)
    lines.splice(first, last - first + 1, ...`${before}${content ?? ''}${after}`.split('\n'))
  }
  return lines.join('\n')
}

const problems = files.flatMap((file) => {
  const path = join(root, file)
  const source = readFileSync(path, 'utf8')
  const formatted = format(source)
  if (isWriting) writeFileSync(path, format(withSortedImports(formatted)))
  const unformatted = formatted === source || isWriting ? [] : [`${file}: is not formatted`]
  const found = workspace.check(isWriting ? readFileSync(path, 'utf8') : source)
  return [
    ...unformatted,
    ...found.map(({ code, message, start_location: at }) => `${file}:${at.row}:${at.column} ${code} ${message}`),
  ]
})

for (const problem of problems) console.error(problem)
console.log(`Checked ${files.length} Python files. ${problems.length} problems.`)
if (problems.length > 0) {
  console.error('Type: npm run format')
  process.exit(1)
}
