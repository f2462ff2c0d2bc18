/** The commands that docs/production.md quotes, to be run as they stand there. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

export const productionPage = (): string =>
  readFileSync(resolve(import.meta.dirname, '../../docs/production.md'), 'utf8')

/** The commands below a mark of the page. */
export function commandsOf(mark: string): string[] {
  const [, block] = new RegExp(`<!-- run: ${mark} -->\n\`\`\`sh\n([^\`]+)\`\`\``).exec(productionPage())!
  return block!.trim().split('\n')
}

export const wordsOf = (command: string): string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)

/** The program and arguments of a command for PostgreSQL's own user. Throws Error for any other command. */
export function superuserCommand(command: string): [program: string, args: string[]] {
  const [sudo, flag, user, program, ...args] = wordsOf(command)
  if (sudo !== 'sudo' || flag !== '-u' || user !== 'postgres') throw new Error(command)
  return [program!, args]
}
