import { CageError } from '../../core/errors.ts'

/** The address without name and password. Throws CageError `usage` when it is none of Redis. */
export function redisName(url: string): string {
  const { protocol, host, pathname } = URL.canParse(url) ? new URL(url) : NONE
  if (/^rediss?:$/.test(protocol) && host !== '' && /^(\/\d*)?$/.test(pathname)) return `${protocol}//${host}`
  // The given address may contain a password.
  throw new CageError('usage', '--redis: expected an address like redis://host:6379 or rediss://host:6379', {
    hint: 'a password is part of it, redis://:password@host:6379, with special characters as %40, and belongs in IRON_CAGE_REDIS',
  })
}

const NONE = { protocol: '', host: '', pathname: '' }
