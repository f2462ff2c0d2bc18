import { CageError } from '../core/errors.ts'
import { parseAmount, toUsd, type Usd } from '../core/money.ts'

/**
 * Parses an amount given as text: "50", "50.00", "$50" → "50". `where`: "limitUsd", "--budget".
 * Throws CageError `invalid_amount`.
 */
export function parseUsd(text: string, where: string): Usd {
  const nanos = parseAmount(text)
  if (nanos !== undefined) return toUsd(nanos)
  throw new CageError('invalid_amount', `${where}: "${text}" is not an amount of US dollars`, {
    facts: { value: text },
  })
}

/**
 * Like `parseUsd`, for a terminal; also refuses 0 and '', which a shell makes of an unquoted $50. `forNothing`: how to
 * type zero.
 */
export function parseTypedAmount(
  text: string,
  where: string,
  forNothing = 'to allow no paid calls, set limit_usd: 0 in the configuration file',
): Usd {
  if (parseAmount(text) !== 0 && text.trim() !== '') return parseUsd(text, where)
  throw new CageError('invalid_amount', `${where} arrived as "${text}"; a shell turns an unquoted $50 into that`, {
    facts: { value: text },
    hint: `write 50, or '$50' in single quotes; ${forNothing}`,
  })
}
