/** What can follow on an unfinished command line, for the scripts of `commands/completion.ts`. */
import { existsSync } from 'node:fs'
import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import type { Config } from '../config/schema.ts'
import { type ReadStore, readStore } from '../db/store.ts'
import { AGENT_HELP } from './client/agent-id.ts'
import { CIRCUIT_HELP } from './commands/circuits/change.ts'
import { SECRET_HELP } from './commands/secrets/vault-client.ts'
import type { Terminal } from './output/terminal.ts'
import { loadFlags, valuesOf } from './settings/load-flags.ts'

/** What stands between a word and its description in what each shell reads; bash reads words only. */
const SEPARATORS: Readonly<Record<string, string>> = { zsh: ':', fish: '\t' }

const MAX_AGENTS_OFFERED = 50

type Candidate = readonly [word: string, description: string]

/** Prints one candidate a line. `words`: the shell, "iron-cage", and the words so far, the last of which is unfinished. */
export function printCompletions(
  program: CommandUnknownOpts,
  [shell = '', , ...words]: readonly string[],
  terminal: Terminal,
): void {
  const separator = SEPARATORS[shell]
  for (const [word, description] of candidates(program, words, terminal)) {
    terminal.out(separator === undefined ? word : `${word}${separator}${description}`)
  }
}

function candidates(program: CommandUnknownOpts, words: readonly string[], terminal: Terminal): Candidate[] {
  let command = program
  const argumentsSoFar: string[] = []
  let flag: Option | undefined
  for (const word of words.slice(0, -1)) {
    const below = command.commands.find((each) => each.name() === word || each.aliases().includes(word))
    if (flag) flag = undefined
    else if (word.startsWith('-')) flag = flagWithValue(command, word)
    else if (below) command = below
    else argumentsSoFar.push(word)
  }
  if (flag) return valuesOfFlag(flag, words, terminal)
  const help = program.createHelp()
  if (words.at(-1)?.startsWith('-')) {
    return help.visibleOptions(command).map((option) => [option.long ?? option.flags, option.description])
  }
  const argument = command.registeredArguments[argumentsSoFar.length]
  return [
    ...help.visibleCommands(command).map((below): Candidate => [below.name(), below.description()]),
    ...(argument?.argChoices ?? []).map((choice): Candidate => [choice, '']),
    ...(argument ? stored(argument.description, words, terminal) : []),
  ]
}

const flagWithValue = (command: CommandUnknownOpts, word: string): Option | undefined =>
  command.options.find(({ long, short, required }) => required && (word === long || word === short))

function valuesOfFlag(flag: Option, words: readonly string[], terminal: Terminal): Candidate[] {
  const values = flag.argChoices ?? valuesOf(flag.attributeName())
  return values.length > 0 ? values.map((value) => [value, '']) : stored(flag.description, words, terminal)
}

/** What arguments name, by their description. `file`: undefined while there is no database. */
const STORED: readonly [described: string, names: (file: ReadStore | undefined, config: Config) => Candidate[]][] = [
  [
    AGENT_HELP,
    (file) => (file?.runs.latestAgents(MAX_AGENTS_OFFERED) ?? []).map(({ agent_id, name }) => [agent_id, name]),
  ],
  [CIRCUIT_HELP, (_file, config) => [...Object.keys(config.providers), ...Object.keys(config.services)].map(bare)],
  [SECRET_HELP, (file) => [...new Set(file?.secrets.all().flatMap(nameUnlessDeleted))].map(bare)],
]

const bare = (word: string): Candidate => [word, '']

const nameUnlessDeleted = (row: { name: string; deleted_at: string | null }): string[] =>
  row.deleted_at === null ? [row.name] : []

/** From the database, also while a server writes it. A shell shows no errors, so nothing is offered then. */
function stored(description: string, words: readonly string[], terminal: Terminal): Candidate[] {
  const names = STORED.find(([described]) => description.includes(described))?.[1]
  if (!names) return []
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
