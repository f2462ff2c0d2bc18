import type { ApiToken } from '../../../access/api-tokens.ts'
import { pathSegment } from '../../client/path-segment.ts'

/** A token with its value, which is answered only once. */
export type NewToken = ApiToken & { token: string }

export const TOKEN_HELP = 'As "tokens list" shows it'

export const tokenPath = (id: string): string => `/api/tokens/${pathSegment(id)}`
