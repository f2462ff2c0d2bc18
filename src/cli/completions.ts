/** Completes an unfinished command line, for the scripts of `commands/completion.ts`. */
import { existsSync } from 'node:fs'
import type { Argv } from 'yargs'
import type { Config } from '../config/schema.ts'
import { type ReadStore, readStore } from '../db/store.ts'
import type { Terminal } from './output/terminal.ts'
import { loadFlags, valuesOf } from './settings/load-flags.ts'

/** What stands between a word and its description in what each shell reads; bash reads words only. */
const SEPARATORS: Readonly<Record<string, string>> = { zsh: ':', fish: '\t' }

const MAX_AGENTS_OFFERED = 50

type Candidate = readonly [word: string, description: string]

/** Prints one candidate a line. `words`: the shell, "iron-cage", and the words so far, the last of which is unfinished. */
export async function printCompletions(
  parser: Argv,
  [shell = '', , ...words]: readonly string[],
  terminal: Terminal,
): Promise<void> {
  const separator = SEPARATORS[shell]
  const print = ([word, description]: Candidate) =>
    terminal.out(separator === undefined ? word : `${word}${separator}${description}`)
  const values = valuesOfFlag(words)
  if (values.length > 0) return values.forEach(print)
  for (const line of await linesOf(parser, words)) terminal.out(line)
  stored(words, terminal).forEach(print)
}

/** The completions of yargs: commands, flags and choices, as the shell in SHELL reads them. */
async function linesOf(parser: Argv, words: readonly string[]): Promise<string[]> {
  let answer = ''
  await parser.parseAsync(['--get-yargs-completions', 'iron-cage', ...words], {}, (_error, _argv, output) => {
    answer = output
  })
  return answer.split('\n').filter((line) => line !== '')
}

/** The values that the flag before the last word can have, if it sets one of a few. */
function valuesOfFlag(words: readonly string[]): Candidate[] {
  const flag = /^--([a-z-]+)$/.exec(words.at(-2) ?? '')?.[1]
  const name = flag?.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  return name === undefined ? [] : valuesOf(name).map(bare)
}

/** The arguments that the database or the configuration names. `file`: undefined while there is no database. */
const STORED: readonly [commands: RegExp, names: (file: ReadStore | undefined, config: Config) => Candidate[]][] = [
  [
    /^(?:status|stop|pause|resume|restart|logs|report|calls|budget (?:get|set|add|calls|correct|charge|release)) /,
    (file) => (file?.runs.latestAgents(MAX_AGENTS_OFFERED) ?? []).map(({ agent_id, name }) => [agent_id, name]),
  ],
  [
    /^circuits (?:reset|open) /,
    (_file, config) => [...Object.keys(config.providers), ...Object.keys(config.services)].map(bare),
  ],
  [
    /^secrets (?:set|get|rotate|roll-back|delete|restore|audit) /,
    (file) => [...new Set(file?.secrets.all().flatMap(nameUnlessDeleted))].map(bare),
  ],
]

const bare = (word: string): Candidate => [word, '']

const nameUnlessDeleted = (row: { name: string; deleted_at: string | null }): string[] =>
  row.deleted_at === null ? [row.name] : []

/** From the database, also while a server writes it. A shell shows no errors, so nothing is offered then. */
function stored(words: readonly string[], terminal: Terminal): Candidate[] {
  const names = STORED.find(([commands]) => commands.test(words.join(' ')))?.[1]
  if (!names || words.at(-1)?.startsWith('-')) return []
  try {
    const { config } = loadFlags({ config: valueAfter(words, '--config'), db: valueAfter(words, '--db') }, terminal)
    using file = existsSync(config.db.path) ? readStore(config.db.path) : undefined
    return names(file, config)
  } catch {
    return []
  }
}

const valueAfter = (words: readonly string[], flag: string): string | undefined =>
  words.includes(flag) ? words[words.indexOf(flag) + 1] : undefined
