/** Flags of `iron-cage demo`. */
import type { ServerFlags } from '../src/cli/settings/flags.ts'

/** A hundred leads in a hundred seconds. */
export const DEFAULT_PACE = '3600'
export const DATABASE = './iron_demo.db'

export interface DemoFlags extends ServerFlags {
  pace: string
  budget: string
  once?: boolean
  check?: boolean
  fail?: string
  recovery?: boolean
  open?: boolean
}
