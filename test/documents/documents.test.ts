import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { generateDocs } from '../scripts/docs.ts'
import { DIALECTS } from '../src/dialects/dialects.ts'
import { ERRORS } from '../src/errors.ts'

const root = resolve(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const help = (...command: string[]) =>
  execFileSync(process.execPath, [join(root, 'bin/iron-cage.cjs'), ...command, '--help'], { encoding: 'utf8' })

/** What stands between two headings. */
const section = (title: string): string => readme.split(`### ${title}\n`)[1]!.split(/\n##+ /)[0]!

test('the generated parts of docs/ are what "npm run docs" writes', async () => {
  for (const [file, text] of await generateDocs()) {
    expect(readFileSync(join(root, 'docs', file), 'utf8'), `docs/${file} is out of date: npm run docs`).toBe(text)
  }
})

describe('the README', () => {
  test('has every error with its status, exit code and hint, and no other', () => {
    const told = [...section('Errors').matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \| (.+) \|$/gm)]
    const wanted = Object.entries(ERRORS).map(([code, { status, exit, hint }]) => [
      code,
      String(status),
      String(exit),
      hint,
    ])
    expect(told.map(([, ...row]) => row)).toEqual(wanted)
  })

  test('names every command of the program, and no other', () => {
    const commands = [...help().matchAll(/^ {2}iron-cage (\w+)/gm)].map((match) => match[1]!)
    const rows = section('Commands')
      .match(/^\| .+? \| /gm)!
      .join('')
    const told = [...rows.matchAll(/[`]([a-z]+)/g)].map((match) => match[1]!)
    expect(new Set(told)).toEqual(new Set(commands.filter((command) => command !== 'version')))
  })

  test('names every flag of start, and no other', () => {
    const flags = [...help('start').matchAll(/^ +--([a-z-]+)/gm)].map((match) => match[1]!)
    const told = [
      ...section('Commands')
        .split('Flags of `start`')[1]!
        .matchAll(/`--([a-z-]+)`/g),
    ].map((match) => match[1]!)
    const wanted = flags.filter((flag) => flag !== 'help' && flag !== 'version')
    expect(told.map((flag) => flag.replace(/^no-restart$/, 'restart')).sort()).toEqual(wanted.sort())
  })

  test('names every environment variable that is read', () => {
    const source = readFileSync(join(root, 'src/config/env.ts'), 'utf8')
    const read = new Set(source.match(/\bIRON_CAGE_[A-Z_]+\b/g))
    for (const name of read) expect(readme).toContain(`\`${name}\``)
  })

  test('gives a reason for every package of package.json, and for no other', () => {
    const told = [...section('Dependencies').matchAll(/^\| ([^|]+) \| [^|]+ \|$/gm)]
      .flatMap(([, names]) => names!.split(', '))
      .filter((name) => name !== 'package' && !name.startsWith('-'))
    const { dependencies, devDependencies } = manifest
    const wanted = Object.keys({ ...dependencies, ...devDependencies })
    expect(told.sort()).toEqual(wanted.filter((name) => !name.startsWith('@types/')).sort())
  })

  test('links only to files that are there', () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)]
      .map((match) => match[1]!)
      .filter((link) => !/^https?:/.test(link))
    expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([])
  })
})

test('the page about redaction names every opaque field of every dialect with its shape, and no other', () => {
  const page = readFileSync(join(root, 'docs/redaction.md'), 'utf8')
  const named = [...page.matchAll(/^\| (\w+) \| (word|sealed|media) \| (.+) \|$/gm)].flatMap(
    ([, name, shape, fields]) => [...fields!.matchAll(/`(\w+)`/g)].map(([, field]) => `${name} ${field} ${shape}`),
  )
  const wanted = Object.values(DIALECTS).flatMap(({ name, fields }) =>
    Object.entries(fields.opaque).map(([field, shape]) => `${name} ${field} ${shape}`),
  )
  expect(named.sort()).toEqual(wanted.sort())
})
