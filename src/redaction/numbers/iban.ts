/** IBANs: a country, its length, and remainder 1 modulo 97. */
import * as ascii from '../../core/ascii.ts'
import { isWordCharacter, plain } from '../text/characters.ts'
import { beginsWord } from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

/** Length of an IBAN by country key, from the registry plus countries that use one without being in it. */
const LENGTHS = new Uint8Array(65_536)
for (const entry of (
  'AD24 AE23 AL28 AO25 AT20 AZ28 BA20 BE16 BF28 BG22 BH22 BI27 BJ28 BR29 BY28 CF27 CG27 CH21 CI28 CM27 CR22 CV25 CY28 ' +
  'CZ24 DE22 DJ27 DK18 DO28 DZ26 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GA27 GB22 GE22 GI23 GL18 GQ27 GR27 GT28 GW25 HN28 ' +
  'HR21 HU28 IE22 IL23 IQ23 IR26 IS26 IT27 JO30 KM27 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MA28 MC27 MD24 ME22 ' +
  'MG27 MK19 ML28 MN20 MR27 MT31 MU30 MZ25 NE28 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 ' +
  'SD18 SE24 SI19 SK24 SM27 SN28 SO23 ST25 SV28 TD27 TG28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
).split(' ')) {
  LENGTHS[countryKey(entry.charCodeAt(0), entry.charCodeAt(1))] = Number(entry.slice(2))
}

/** Space, hyphen, dot, underscore. */
const SEPARATORS: ReadonlySet<number> = new Set([ascii.SPACE, ascii.HYPHEN, ascii.DOT, ascii.UNDERSCORE])

/** The characters of a candidate as numbers: digits are themselves, letters 10 to 35. */
const values = new Uint8Array(40)

/**
 * Finds the IBAN whose two check digits begin at `digits`, after the two letters of the country. Separators are allowed
 * anywhere, one at a time: length and remainder decide.
 */
export function findIban(window: TextWindow, digits: number): Match | null {
  const start = window.before(digits) === ascii.SPACE ? digits - 3 : digits - 2
  if (start < window.floor || !beginsWord(window, start)) return null
  const length = LENGTHS[countryKey(plain(window.text.charCodeAt(start)), plain(window.text.charCodeAt(start + 1)))]
  if (!length) return null
  window.candidate = start
  let end = start
  for (let count = 0; count < length; count++) {
    let next = window.read(end)
    let value = letterOrDigit(window.code)
    if (value < 0) {
      const isSeparator = SEPARATORS.has(window.code)
      if (!isSeparator || count < 2) return null
      next = window.read(next)
      value = letterOrDigit(window.code)
      if (value < 0) return null
    }
    values[count] = value
    end = next
  }
  return !isWordCharacter(window.at(end)) && remainder(length) === 1 ? { type: 'iban', start, end } : null
}

function letterOrDigit(code: number): number {
  if (code >= ascii.ZERO && code <= ascii.NINE) return code - ascii.ZERO
  const lower = code | ascii.LOWER_CASE
  return lower >= ascii.LOWER_A && lower <= ascii.LOWER_Z ? lower - ascii.LOWER_A + 10 : -1
}

/** Two letters of either case as one number. */
function countryKey(first: number, second: number): number {
  return ((first | ascii.LOWER_CASE) << 8) | second | ascii.LOWER_CASE
}

/** Returns the number of ISO 13616 (the first four characters moved to the end) modulo 97. */
function remainder(length: number): number {
  let result = 0
  for (let i = 4; i < length + 4; i++) {
    const value = values[i < length ? i : i - length] as number
    result = result * (value > 9 ? 100 : 10) + value
    // Division is the expensive step, so only when the number would grow too long.
    if (result > 1e7) result %= 97
  }
  return result % 97
}
