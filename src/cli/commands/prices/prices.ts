import { type CliCommand, group } from '../../command.ts'
import { listPricesCommand } from './list.ts'
import { updatePricesCommand } from './update.ts'

export const pricesCommand: CliCommand = (terminal) => {
  const parent = group('prices', 'What models cost here, and the list of public prices', [], terminal)
  // "prices gpt-4o" is "prices list gpt-4o".
  return parent.addCommand(listPricesCommand(terminal), { isDefault: true }).addCommand(updatePricesCommand(terminal))
}
