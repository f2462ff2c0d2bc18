import { CageError } from '../../../core/errors.ts'
import { type ApiClient, connect } from '../../client/client.ts'
import type { Terminal } from '../../output/terminal.ts'

/** The client of the Control Panel that IRON_CAGE_URL names. Throws CageError `usage` without one. */
export function connectToPanel(terminal: Terminal): ApiClient {
  if (terminal.env.serverUrl !== undefined) return connect({}, terminal)
  throw new CageError('usage', 'no Control Panel is named', {
    hint: 'set IRON_CAGE_URL to its address, and sign in with "iron-cage login"',
  })
}
