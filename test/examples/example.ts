/** The facts in the first lines of an example. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
export const folder = 'python/examples'

export interface Example {
  /** The file without its ending. */
  name: string
  /** Its purpose, in one sentence. */
  title: string
  /** The command that starts it, as words. */
  start: string[]
  /** Packages of Python's registry. */
  packages: string[]
  /** The Python environment that has them, below the root. */
  environment: string
}

/** Every program of python/examples; those that import longest first. */
export function readExamples(): Example[] {
  const names = readdirSync(join(root, folder))
    .filter((file) => file.endsWith('.py'))
    .map((file) => file.slice(0, -'.py'.length))
  return names.map(readExample).sort((one, other) => other.environment.length - one.environment.length)
}

function readExample(name: string): Example {
  const text = readFileSync(join(root, folder, `${name}.py`), 'utf8')
  const said = /^"""(?<title>[^"]+?\.)\n\nShows: .+?\nStart: (?<start>.+)\nNeeds: (?<needs>.+)\n"""\n/s.exec(
    text,
  )?.groups
  if (!said) throw new Error(`${name}.py does not begin with its title, and lines of Shows:, Start: and Needs:`)
  const [packages = ''] = said.needs!.split(';')
  return {
    name,
    title: said.title!.replaceAll('\n', ' '),
    start: said.start!.split(' '),
    packages: packages.split(' ').filter((word) => word !== 'nothing'),
    environment: name.startsWith('crewai') ? '.venv-test-crewai' : '.venv-test',
  }
}

/** The table of python/examples/README.md: each example, and its tested packages. */
export function tableOf(examples: readonly Example[]): string {
  const rows = [...examples]
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, title, packages, environment }) => {
      const versions = packages.map((one) => `${one} ${versionOf(one, environment)}`)
      return `| [${name}](${name}.py) | ${title} | ${versions.join(', ') || 'nothing'} |`
    })
  return ['| example | what it is | run with |', '|---|---|---|', ...rows].join('\n')
}

function versionOf(name: string, environment: string): string {
  const list = readFileSync(
    join(root, `scripts/test-requirements${environment.slice('.venv-test'.length)}.txt`),
    'utf8',
  )
  const version = new RegExp(`^${name}(?:\\[[^\\]]+\\])?==(.+)$`, 'm').exec(list)?.[1]
  if (!version) throw new Error(`${name} is in no list of what the tests install`)
  return version
}
