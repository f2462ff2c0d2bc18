/** What commands are made of: their type, groups of them, and the examples below their help. */
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { table } from './output/print.ts'
import type { Terminal } from './output/terminal.ts'

/** Makes one command. Its action writes to `terminal`, sets its exit code and throws CageErrors. */
export type CliCommand = (terminal: Terminal) => CommandUnknownOpts

/** A command that only has commands below it, in this order; alone it lists, where one of them does. */
export function group(name: string, description: string, commands: readonly CliCommand[], terminal: Terminal) {
  const parent = new Command(name).description(description).helpCommand(false)
  for (const command of commands) {
    const child = command(terminal)
    parent.addCommand(child, { isDefault: child.name() === 'list' })
  }
  return parent
}

/** The examples of a command's help; each is typed after "iron-cage". */
export const examples = (...rows: (readonly [typed: string, effect: string])[]): string =>
  ['', 'Examples:', ...table(rows.map(([typed, effect]) => [`  iron-cage ${typed}`, effect]))].join('\n')
