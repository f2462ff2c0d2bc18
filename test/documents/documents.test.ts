import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import manifest from '../../package.json' with { type: 'json' }
import { generateDocs } from '../../scripts/docs.ts'
import { configSchema, panelFileSchema } from '../../src/config/schema.ts'
import { DIALECTS } from '../../src/dialects/dialects.ts'
import { DOCUMENTS, root } from './documents.ts'

const read = (path: string): string => DOCUMENTS.get(path)!

test('the generated files match the output of "npm run docs"', async () => {
  for (const [file, text] of await generateDocs()) {
    const path = join('docs', file)
    expect(readFileSync(join(root, path), 'utf8'), `${path} is out of date: npm run docs`).toBe(text)
  }
})

test('the README has at most 150 lines', () => {
  expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(150)
})

test('docs/index.md links to every other document, and the README to it', () => {
  const linkedIn = (path: string) => new Set(linksOf(path).map(([file]) => file))
  const linked = linkedIn('docs/index.md').add('docs/index.md').add('README.md')
  expect([...DOCUMENTS.keys()].filter((path) => !linked.has(path))).toEqual([])
  expect(linkedIn('README.md')).toContain('docs/index.md')
})

describe.each([...DOCUMENTS.keys()])('%s', (path) => {
  test('links only to files and headings that exist', () => {
    const broken = linksOf(path).filter(([file, anchor]) => {
      if (!existsSync(join(root, file))) return true
      return anchor !== undefined && !anchorsOf(file).has(anchor)
    })
    expect(broken).toEqual([])
  })

  test('the page names only files of the project that exist', () => {
    const named = [...read(path).matchAll(/`((?:src|test|scripts|web|demo|python|docs)\/[\w./-]*[\w/])`/g)]
    expect(named.map(([, file]) => file!).filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})

test('no sentence is in two documents', () => {
  const homes = new Map<string, Set<string>>()
  for (const [path, text] of DOCUMENTS) {
    const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/<!-- generated[\s\S]*?<!-- end -->/g, '')
    for (const sentence of prose.replaceAll(/\s+/g, ' ').split(/(?<=[.:|]) /)) {
      if (sentence.length >= 50) homes.set(sentence, (homes.get(sentence) ?? new Set()).add(path))
    }
  }
  expect([...homes].filter(([, paths]) => paths.size > 1).map(([sentence]) => sentence)).toEqual([])
})

test('docs/architecture.md describes every folder of src, and no other', () => {
  const rows = [
    ...read('docs/architecture.md')
      .split('## Folders')[1]!
      .matchAll(/^\| (`src\/.+?) \|/gm),
  ]
  const described = rows.flatMap(([, names]) => [...names!.matchAll(/`src\/(\w+)`/g)].map(([, name]) => name!))
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(described.sort()).toEqual(folders.map(({ name }) => name).sort())
})

test('every configuration that a document shows is valid', () => {
  const shown = [...DOCUMENTS].flatMap(([path, text]) =>
    [...text.matchAll(/^```yaml[^\n]*\n([\s\S]*?)^```$/gm)].map(([, yaml]) => ({
      path,
      value: parse(yaml!) as object,
    })),
  )
  const ours = shown.filter(({ value }) => Object.keys(value).every((key) => key in configSchema.shape))
  expect(ours.length).toBeGreaterThan(2)
  const ofPanels = ours.filter(({ value }) => panelFileSchema.safeParse(value).success)
  expect(ofPanels.map(({ path }) => path)).toEqual(['docs/production.md'])
  for (const { path, value } of ours.filter((one) => !ofPanels.includes(one)))
    expect(configSchema.safeParse(value).error?.message, path).toBeUndefined()
  // Those of Prometheus, for a server and for a panel, and of GitHub.
  expect(shown.filter((one) => !ours.includes(one)).map(({ value }) => Object.keys(value))).toEqual([
    ['scrape_configs'],
    ['scrape_configs'],
    ['on', 'jobs'],
  ])
})

test('docs/configuration.md names every environment variable that is read', () => {
  const source = readFileSync(join(root, 'src/config/env.ts'), 'utf8')
  for (const name of new Set(source.match(/\bIRON_CAGE_[A-Z_]+\b/g))) {
    expect(read('docs/configuration.md')).toContain(`\`${name}\``)
  }
})

test('docs/dependencies.md gives a reason for every package of package.json, and for no other', () => {
  const named = [...read('docs/dependencies.md').matchAll(/^\| ([^|]+) \| [^|]+ \|$/gm)]
    .flatMap(([, names]) => names!.split(', '))
    .filter((name) => name !== 'package' && !name.startsWith('-'))
  const { dependencies, devDependencies } = manifest
  const wanted = Object.keys({ ...dependencies, ...devDependencies })
  expect(named.sort()).toEqual(wanted.filter((name) => !name.startsWith('@types/')).sort())
})

test('docs/redaction.md names every opaque field of every dialect with its shape, and no other', () => {
  const rows = [...read('docs/redaction.md').matchAll(/^\| (\w+) \| (word|sealed|media) \| (.+) \|$/gm)]
  const named = rows.flatMap(([, name, shape, fields]) =>
    [...fields!.matchAll(/`(\w+)`/g)].map(([, field]) => `${name} ${field} ${shape}`),
  )
  const wanted = Object.values(DIALECTS).flatMap(({ name, fields }) =>
    Object.entries(fields.opaque).map(([field, shape]) => `${name} ${field} ${shape}`),
  )
  expect(named.sort()).toEqual(wanted.sort())
})

/** Links to files of the project, as paths from the root, with their anchors. */
function linksOf(path: string): [file: string, anchor: string | undefined][] {
  const prose = read(path).replaceAll(/^```[\s\S]*?^```$/gm, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^https?:/.test(link))
    .map((link) => {
      const [file = '', anchor] = link.split('#')
      return [file === '' ? path : join(dirname(path), file), anchor]
    })
}

/** Anchors of the headings of a document, as GitHub makes them. */
const anchorsOf = (file: string): Set<string> =>
  new Set(
    [...readFileSync(join(root, file), 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
