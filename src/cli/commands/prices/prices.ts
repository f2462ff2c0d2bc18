import { type CliCommand, group } from '../../command.ts'
import { listPricesCommand } from './list.ts'
import { updatePricesCommand } from './update.ts'

export const pricesCommand: CliCommand = (terminal, line) => {
  // "prices gpt-4o" is "prices list gpt-4o".
  const commands = [listPricesCommand, updatePricesCommand]
  return group('prices', 'What models cost here, and the list of public prices', commands, terminal, line)
}
