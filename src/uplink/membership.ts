/** This runtime's membership of a Control Panel, in its database: the address, and the sealed token. */
import type { Store } from '../db/store.ts'

export interface Membership {
  /** The panel's address. */
  url: string
  runtimeId: string
  /** The runtime's name on the panel. */
  name: string
  token: string
  /** The last event before it joined: those up to there are not the panel's business. (Default: none is known.) */
  joinedSeq?: number
}

type MembershipStore = Pick<Store, 'meta' | 'seal' | 'unseal'>

const MEMBERSHIP = 'panel'
const ABOUT = 'the membership of a Control Panel'

/** Throws CageError `database_unusable` when the token cannot be decrypted. */
export function readMembership({ meta, unseal }: MembershipStore): Membership | undefined {
  const sealed = meta.get(MEMBERSHIP)
  return sealed ? (JSON.parse(unseal(Buffer.from(sealed, 'base64'), ABOUT).toString()) as Membership) : undefined
}

export function writeMembership({ meta, seal }: MembershipStore, membership: Membership | undefined): void {
  const text = membership && seal(Buffer.from(JSON.stringify(membership)), ABOUT).toString('base64')
  meta.put(MEMBERSHIP, text ?? '')
}
