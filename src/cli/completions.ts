/** What can follow on an unfinished command line, for the scripts of `commands/completion.ts`. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import type { Terminal } from './terminal.ts'

/** What stands between a word and its description in what each shell reads; bash reads words only. */
const SEPARATORS: Readonly<Record<string, string>> = { zsh: ':', fish: '\t' }

/** Prints one candidate a line. `words`: the shell, "iron-cage", and the words so far, the last of which is unfinished. */
export function printCompletions(
  program: CommandUnknownOpts,
  [shell = '', , ...words]: readonly string[],
  terminal: Terminal,
): void {
  const separator = SEPARATORS[shell]
  for (const [word, description] of candidates(program, words)) {
    terminal.out(separator === undefined ? word : `${word}${separator}${description}`)
  }
}

function candidates(program: CommandUnknownOpts, words: readonly string[]): (readonly [string, string])[] {
  let command = program
  for (const word of words.slice(0, -1)) {
    command = command.commands.find((below) => below.name() === word || below.aliases().includes(word)) ?? command
  }
  const help = program.createHelp()
  if (words.at(-1)?.startsWith('-')) {
    return help.visibleOptions(command).map((option) => [option.long ?? option.flags, option.description] as const)
  }
  const choices = command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices)
  return [
    ...help.visibleCommands(command).map((below) => [below.name(), below.description()] as const),
    ...choices.map((choice) => [choice, ''] as const),
  ]
}
