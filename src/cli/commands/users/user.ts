import { pathSegment } from '../../client/path-segment.ts'

export const USERNAME_HELP = 'The name of the user'

export const ROLES = ['admin', 'viewer'] as const

export const userPath = (username: string): string => `/api/users/${pathSegment(username)}`
