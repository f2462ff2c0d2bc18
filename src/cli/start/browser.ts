import { spawn } from 'node:child_process'
import type { Terminal } from '../output/terminal.ts'

/** Opens an address in the user's browser; prints a message where that is not possible. */
export function openBrowser(address: string, terminal: Terminal): void {
  const isMac = process.platform === 'darwin'
  const fail = () => terminal.err('iron-cage: no browser could be opened; open the dashboard link yourself')
  if (!isMac && !terminal.env.hasDisplay) return fail()
  spawn(isMac ? 'open' : 'xdg-open', [address], { detached: true, stdio: 'ignore' })
    .on('error', fail)
    .unref()
}
