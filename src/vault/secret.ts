/** The allowed names and values of secrets, and the form in which they are shown. Pure. */

import { CageError } from '../core/errors.ts'
import type { SecretRow } from '../db/tables/secrets.ts'
import { whyReserved } from './reserved-names.ts'

const MAX_NAME_LENGTH = 128
const MAX_BYTES = 65_536

/**
 * A secret is an environment variable of an agent, so its name must be valid as one and must not be reserved.
 * Throws CageError `bad_request`.
 */
export function requireName(name: string): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.length > MAX_NAME_LENGTH) {
    throw new CageError(
      'bad_request',
      'the name of a secret must be an environment variable name: letters, digits and _',
      {
        hint: `for example OPENAI_API_KEY, with at most ${MAX_NAME_LENGTH} characters and no leading digit`,
      },
    )
  }
  const why = whyReserved(name)
  if (why) {
    throw new CageError('bad_request', `${name} ${why}, so no secret can have this name`, {
      facts: { name },
      hint: 'choose another name; a setting that is not secret belongs under agent.env in the configuration',
    })
  }
}

/** True for what `requireName` accepts. */
export function isSecretName(name: string): boolean {
  try {
    requireName(name)
    return true
  } catch {
    return false
  }
}

/** Throws CageError `bad_request` for a value that an environment variable cannot hold. */
export function requireValue(value: string): void {
  const problem = problemOf(value)
  if (problem)
    throw new CageError('bad_request', `the value ${problem}`, { hint: 'a value is 1 to 65,536 bytes of text' })
}

function problemOf(value: string): string | undefined {
  if (value === '') return 'is empty'
  if (value.includes('\0')) return 'holds a NUL character, which no environment variable can'
  if (!value.isWellFormed()) return 'is not text in UTF-8'
  if (Buffer.byteLength(value) > MAX_BYTES) return `has more than ${MAX_BYTES} bytes`
  return undefined
}

const SHOWN_FROM = 20

/** From this length a value shows its issuer's prefix, such as "sk-proj-", and three characters at each end. */
const PREFIX_SHOWN_FROM = 40
const ISSUER_PREFIX = /^(?:[A-Za-z]{2,6}[-_]){1,2}/

/** Enough of a long single-line value to recognize it, such as "sk-proj-abc…xyz"; nothing of any other. */
export function mask(value: string): string {
  const isLong = value.length >= SHOWN_FROM && /^[\x21-\x7e]+$/.test(value)
  if (!isLong) return '••••'
  const prefix = value.length >= PREFIX_SHOWN_FROM ? ISSUER_PREFIX.exec(value)?.[0] : undefined
  if (prefix === undefined) return `${value.slice(0, 4)}…${value.slice(-2)}`
  return `${value.slice(0, prefix.length + 3)}…${value.slice(-3)}`
}

/** The fields of a secret that may always be shown. */
export type SecretView = Pick<
  SecretRow,
  'id' | 'name' | 'environment' | 'masked' | 'version' | 'created_at' | 'updated_at' | 'rotated_at' | 'deleted_at'
>

export const viewOf = (row: SecretRow): SecretView => {
  const { id, name, environment, masked, version, created_at, updated_at, rotated_at, deleted_at } = row
  return { id, name, environment, masked, version, created_at, updated_at, rotated_at, deleted_at }
}
