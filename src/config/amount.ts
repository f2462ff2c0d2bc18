import { CageError } from '../errors.ts'
import { parseAmount, toUsd, type Usd } from '../money.ts'

/**
 * An amount that was typed into a terminal: "50", "50.00", "$50" → "50". `where`: "--budget", "IRON_CAGE_BUDGET".
 * Throws CageError `invalid_amount`, also for 0 and '': that is what a shell makes of an unquoted $50.
 */
export function parseTypedAmount(text: string, where: string): Usd {
  const nanos = parseAmount(text)
  if (nanos) return toUsd(nanos)
  const facts = { value: text }
  if (nanos === 0 || text.trim() === '') {
    throw new CageError('invalid_amount', `${where} came as "${text}"; a shell turns an unquoted $50 into that`, {
      facts,
      hint: "write 50, or '$50' in single quotes; for no paid call at all put limit_usd: 0 into the configuration file",
    })
  }
  throw new CageError('invalid_amount', `${where}: "${text}" is not an amount of US dollars`, { facts })
}
