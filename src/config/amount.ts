import { CageError } from '../errors.ts'
import { parseAmount, toUsd, type Usd } from '../money.ts'

/**
 * An amount that a caller gave as text: "50", "50.00", "$50" → "50". `where`: "limitUsd", "--budget".
 * Throws CageError `invalid_amount`.
 */
export function parseUsd(text: string, where: string): Usd {
  const nanos = parseAmount(text)
  if (nanos !== undefined) return toUsd(nanos)
  throw new CageError('invalid_amount', `${where}: "${text}" is not an amount of US dollars`, {
    facts: { value: text },
  })
}

/** The same typed into a terminal, where 0 and '' are refused as well: that is what a shell makes of an unquoted $50. */
export function parseTypedAmount(text: string, where: string): Usd {
  if (parseAmount(text) !== 0 && text.trim() !== '') return parseUsd(text, where)
  throw new CageError('invalid_amount', `${where} came as "${text}"; a shell turns an unquoted $50 into that`, {
    facts: { value: text },
    hint: "write 50, or '$50' in single quotes; for no paid call at all put limit_usd: 0 into the configuration file",
  })
}
