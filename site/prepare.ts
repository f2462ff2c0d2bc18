/**
 * Writes what the site is built from: each document becomes a page, the README becomes the parts of the first page, and
 * docs/index.md the navigation. No text is written here: what a page says stands in one document.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, posix, resolve } from 'node:path'
import { bundleDashboard } from '../scripts/bundle.mjs'

const root = resolve(import.meta.dirname, '..')
const here = import.meta.dirname
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** Each document, and the name of its page below /docs/. */
const PAGES = new Map<string, string>([
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => [`docs/${path}`, path.slice(0, -'.md'.length)] as const),
  ['python/README.md', 'python'],
  ['python/examples/README.md', 'examples'],
  ['python/iron_cli/README.md', 'iron-cli-py'],
  ['python/iron_sandbox/README.md', 'iron-sandbox'],
  ['CONTRIBUTING.md', 'contributing'],
  ['SECURITY.md', 'security-policy'],
  ['CHANGELOG.md', 'changelog'],
])
/** Parts of the first page, by the headings of the README. */
const HOME = {
  who: 'Who it is for',
  run: 'Run your own agent',
  replaces: 'Alternatives',
  guarantees: 'Guarantees and limits',
}

const PYTHON_REFERENCE = 'python-reference'

for (const made of ['src/content/docs', 'src/home', 'generated', 'public/pictures', 'public/replay']) {
  rmSync(join(here, made), { recursive: true, force: true })
  mkdirSync(join(here, made), { recursive: true })
}
for (const [path, name] of PAGES) writePage(name, linked(read(path), path))
const reference = execFileSync('python3', [join(here, 'python-reference.py')], { encoding: 'utf8', cwd: root })
writePage(PYTHON_REFERENCE, reference)
writeHome(read('README.md'))
for (const name of readdirSync(join(root, 'docs'))) {
  if (/\.(png|webp)$/.test(name)) cpSync(join(root, 'docs', name), join(here, 'public/pictures', name))
}
await writeReplay()

/** A page of Starlight: the heading becomes its title, the first paragraph its description. */
function writePage(name: string, text: string): void {
  const [, title, body] = /^# (.+)\n([\s\S]*)$/.exec(text)!
  const description = plain(/^[A-Z][^#|<`]+?\.(?=\s)/m.exec(body!)?.[0] ?? title!)
  const head = `---\ntitle: ${JSON.stringify(plain(title!))}\ndescription: ${JSON.stringify(description)}\n---\n`
  const file = join(here, 'src/content/docs/docs', `${name}.md`)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, head + withScrollingTables(body!))
}

/** A table wider than the page scrolls, also by keyboard. */
function withScrollingTables(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$|(?:^\|.*\n?)+/gm, (block) =>
    block.startsWith('|')
      ? `<div class="scroll" role="group" aria-label="Table" tabindex="0">\n\n${block.trimEnd()}\n\n</div>\n`
      : block,
  )
}

function titleOf(path: string): string {
  return plain(/^# (.+)$/m.exec(read(path))![1]!)
}

function plain(markdown: string): string {
  const words = markdown.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1').replaceAll(/[*`]/g, '')
  return words.replaceAll(/\s+/g, ' ').trim()
}

/** Links to documents lead to their pages; the project's other files have none, so only their names stay. */
function linked(text: string, path: string): string {
  return text.replaceAll(
    /(!?)\[([^\]]*)\]\((?!\w+:)([^)#\s]*)(#[^)]*)?\)/g,
    (link, picture, label, target, anchor = '') => {
      if (target === '') return link
      const file = posix.normalize(posix.join(dirname(path), target))
      if (picture) return `![${label}](/pictures/${basename(file)})`
      const page = PAGES.get(file)
      // A file's name means nothing to a reader of the site.
      if (page) return `[${/\.md$/.test(label) ? titleOf(file) : label}](${addressOf(page)}${anchor})`
      return file === 'README.md' ? `[${label}](/)` : label
    },
  )
}

function addressOf(page: string): string {
  return page === 'index' ? '/docs/' : `/docs/${page}/`
}

/** The README in the parts that the first page shows, and the list of documents as the navigation. */
function writeHome(readme: string): void {
  const [intro, ...sections] = linked(readme, 'README.md').split(/^## /m)
  const parts = sections.map((section) => {
    const end = section.indexOf('\n')
    return { title: section.slice(0, end), body: section.slice(end + 1).trim() }
  })
  const [, bold, lead] = /\*\*(.+?)\*\* ([\s\S]+?)\n\n/.exec(intro!)!
  const command = /^ {4}(.+)$/m.exec(intro!)![1]!
  const features = [...partOf(parts, 'Features').matchAll(/^\| \*\*(.+?)\*\* \| (.+) \|$/gm)]
  mkdirSync(join(here, 'src/home/features'), { recursive: true })
  features.forEach(([, title, text], at) => {
    writeFileSync(join(here, 'src/home/features', `${at}.md`), `---\ntitle: ${JSON.stringify(title)}\n---\n\n${text}\n`)
  })
  for (const [file, title] of Object.entries(HOME)) {
    writeFileSync(join(here, 'src/home', `${file}.md`), `${partOf(parts, title)}\n`)
  }
  const hero = { tagline: bold, lead: plain(lead!), command, titles: HOME }
  writeFileSync(join(here, 'generated/home.json'), JSON.stringify(hero))
  writeFileSync(
    join(here, 'generated/navigation.json'),
    JSON.stringify(navigationOf(linked(read('docs/index.md'), 'docs/index.md'))),
  )
}

function partOf(parts: readonly { title: string; body: string }[], title: string): string {
  const part = parts.find((one) => one.title === title)
  if (!part) throw new Error(`README.md has no section "${title}"`)
  return part.body
}

/** The headings of docs/index.md, with the links below each. */
function navigationOf(index: string) {
  const groups = index.split(/^## /m).slice(1)
  return groups.map((group) => {
    const label = group.slice(0, group.indexOf('\n'))
    const links = [...group.matchAll(/\[([^\]]+)\]\(\/docs\/([\w/-]+)\/\)/g)].map(([, text, name]) => ({
      label: text![0]!.toUpperCase() + text!.slice(1),
      slug: `docs/${name}`,
    }))
    const python = { label: 'Python reference', slug: `docs/${PYTHON_REFERENCE}` }
    return { label, items: label === 'Reference' ? [...links, python] : links }
  })
}

/** The dashboard, as the program serves it, with what replays a recording in place of a server. */
async function writeReplay(): Promise<void> {
  const folder = join(here, 'public/replay')
  await bundleDashboard(folder)
  for (const name of ['replay.js', 'recording.json']) cpSync(join(here, 'replay', name), join(folder, name))
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
    .replaceAll('="/main.', '="main.')
    .replace('<script type="module"', '<script src="replay.js"></script>\n    <script type="module"')
    .replace('<title>Iron Cage</title>', '<title>Iron Cage: the demo, recorded</title>')
  writeFileSync(join(folder, 'index.html'), page)
}
