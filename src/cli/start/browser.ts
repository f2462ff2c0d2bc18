import { spawn } from 'node:child_process'
import { AgentFolders } from '../../config/agent-folders.ts'
import { findTrusted, trustedEnvironment } from '../../sandbox/trusted-program.ts'
import type { Terminal } from '../output/terminal.ts'

/** Opens an address in the user's browser; prints a message where that is not possible. */
export function openBrowser(address: string, terminal: Terminal): void {
  const isMac = process.platform === 'darwin'
  const fail = () => terminal.err('iron-cage: no browser could be opened; open the dashboard link yourself')
  if (!isMac && !terminal.env.hasDisplay) return fail()
  const { variables } = terminal.env
  const { folders } = new AgentFolders(variables.HOME)
  const program = findTrusted(isMac ? 'open' : 'xdg-open', variables, folders)
  if (program === undefined) return fail()
  const env = trustedEnvironment(variables, folders)
  spawn(program, [address], { detached: true, stdio: 'ignore', env }).on('error', fail).unref()
}
