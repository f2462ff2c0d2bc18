/** What commands are made of: their type, and groups of them. */
import type { CommandModule } from 'yargs'
import type { Terminal } from './output/terminal.ts'

/**
 * Makes one command. Its handler writes to `terminal`, sets its exit code and throws CageErrors. `line`: the words that
 * were typed after "iron-cage".
 */
export type CliCommand = (terminal: Terminal, line: readonly string[]) => CommandModule

/** Gives a command's handler the types that its builder makes. */
export const command = <Flags>(module: CommandModule<object, Flags>): CommandModule => module as CommandModule

/** Stands for a lone hyphen, which yargs drops. */
export const STDIN = '/dev/stdin'

/** A command that only has others below it. */
export interface CommandGroup extends CommandModule {
  subcommands: readonly string[]
}

/** A command that only has commands below it, in this order; alone it lists, where one of them does. */
export function group(
  name: string | readonly string[],
  describe: string,
  commands: readonly CliCommand[],
  terminal: Terminal,
  line: readonly string[],
): CommandGroup {
  const modules = commands.map((make) => make(terminal, line))
  const names = modules.map(nameOf)
  return {
    command: name,
    describe,
    builder(yargs) {
      for (const module of modules)
        yargs.command(
          nameOf(module) === 'list' ? { ...module, command: [module.command, '$0'].flat() as string[] } : module,
        )
      return yargs.demandCommand(1, `${[name].flat()[0]} needs one of: ${names.join(', ')}`)
    },
    handler: () => {},
    subcommands: names,
  }
}

/** Its first word, without its arguments. */
export const nameOf = ({ command: names }: CommandModule): string => [names ?? []].flat()[0]!.split(' ')[0]!
