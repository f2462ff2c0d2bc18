/** The documents of the project, and the command lines they quote. */
import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')

/** Every document by its path, with its text. */
export const DOCUMENTS: ReadonlyMap<string, string> = new Map(
  globSync(['*.md', 'docs/*.md', 'docs/*/*.md', 'python/README.md', 'python/*/README.md'], { cwd: root })
    .sort()
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
)

export interface QuotedCommand {
  /** "README.md: iron-cage start agent.py" */
  title: string
  /** As a shell would pass them, without assignments and redirections. */
  words: readonly string[]
  /** A mention in a sentence may leave out arguments; a line of a code block is typed as it is. */
  isMention: boolean
}

/** Programs whose mention in a sentence is a command. */
const MENTIONED = /^(iron-cage|npx|npm|node|python3?|pip) ./

/** Every command line of every document, each once. */
export function quotedCommands(): QuotedCommand[] {
  const found = new Map<string, QuotedCommand>()
  for (const [path, text] of DOCUMENTS) {
    const add = (line: string, isMention: boolean) => {
      for (const command of withoutComment(line).split(' && ')) {
        const words = shellWords(command)
        const key = `${words.join(' ')}${isMention ? ' (mention)' : ''}`
        if (words.length > 0 && !found.has(key))
          found.set(key, { title: `${path}: ${command.trim()}`, words, isMention })
      }
    }
    for (const line of blockLines(text)) add(line, false)
    for (const [, mention] of withoutBlocks(text).matchAll(/[`"]([^`"\n]+(?:"[^`"\n]*"[^`"\n]*)?)[`"]/g)) {
      if (MENTIONED.test(mention!)) add(mention!, true)
    }
  }
  return [...found.values()]
}

/** A block may name the file that it is: ```python title="agent.py" */
const FENCE = /^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm

/** Lines of shell blocks, of blocks that are indented, of unit files, and the examples of help texts. */
function blockLines(text: string): string[] {
  const fenced = [...text.matchAll(FENCE)].flatMap(([, language, body]) => {
    if (language === 'sh') return body!.split('\n')
    if (language === 'ini') return [...body!.matchAll(/^ExecStart=(.+)$/gm)].map(([, line]) => line!)
    return language === 'text' ? examplesOf(body!) : []
  })
  const indented = [...text.replaceAll(FENCE, '').matchAll(/(?<=\n\n)(?: {4}\S.*\n)+/g)].flatMap(([block]) =>
    block.split('\n').map((line) => line.trim()),
  )
  return [...fenced, ...indented].filter(Boolean)
}

/** The left column of a help text's examples, from the program's name on. */
const examplesOf = (help: string): string[] =>
  [...(help.split('\nExamples:\n')[1] ?? '').matchAll(/(iron-cage .+?)\)?(?: {2}.*)?$/gm)].map(([, line]) => line!)

const withoutBlocks = (text: string): string => text.replaceAll(FENCE, '').replaceAll(/(?<=\n\n)(?: {4}\S.*\n)+/g, '')

const withoutComment = (line: string): string => line.replace(/(^| +)# .*$/, '')

/** Words of one command; a quoted one without its quotes. Assignments before it, `export` and redirections are left out. */
function shellWords(command: string): string[] {
  const words = [
    ...command.replace(/ (>>?|[|<]) .+$/, '').matchAll(/"([^"]*)"|'([^']*)'|((?:\$\([^)]*\)|[^\s"'])+)/g),
  ].map(([, double, single, plain]) => double ?? single ?? plain!)
  const start = words.findIndex((word) => word !== 'export' && !/^\w+=/.test(word))
  return start < 0 ? [] : words.slice(start)
}
