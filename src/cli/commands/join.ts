import { hostname } from 'node:os'
import { isLoopback } from '../../access/localhost.ts'
import { CageError } from '../../core/errors.ts'
import { printable } from '../../log/printable.ts'
import { journalIdOf } from '../../uplink/journal.ts'
import { readMembership, writeMembership } from '../../uplink/membership.ts'
import { joinPanel } from '../../uplink/panel-client.ts'
import { withOfflineStore } from '../client/offline-store.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { VERSION } from '../output/version.ts'
import { withDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

export const joinCommand: CliCommand = (terminal) =>
  command({
    command: 'join <url>',
    describe: 'Share the budgets of a Control Panel with other machines (the server must be stopped)',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('url', {
          type: 'string',
          demandOption: true,
          describe: "The panel's address, such as https://panel.example.com",
        })
        .option('token', {
          type: 'string',
          requiresArg: true,
          describe: 'What "iron-cage runtimes invite" printed; it works once',
          demandOption: true,
        })
        .option('name', {
          type: 'string',
          requiresArg: true,
          describe: 'Name of this runtime on the panel (default: the host name)',
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 join http://localhost:8090 --token ic_…', 'a panel on this machine']]),
    handler: async ({ url: typed, token, name: wanted, json: asJson, ...flags }) => {
      const url = panelAddress(typed)
      const { config } = await readConfig(flags, terminal)
      const membership = await withOfflineStore(config, async ({ store, state }) => {
        const present = readMembership(store)
        if (present) {
          throw new CageError('conflict', `this database has joined ${present.url} as "${present.name}"`, {
            facts: { panel: present.url },
            hint: 'leave it first with "iron-cage leave"',
          })
        }
        const joined = await joinPanel({ url, token }, { name: wanted ?? hostname(), version: VERSION })
        journalIdOf(store)
        writeMembership(store, { ...joined, joinedSeq: state.read().seq })
        return joined
      })
      const { runtimeId, name } = membership
      if (asJson) return terminal.out(json({ url, runtime_id: runtimeId, name }))
      terminal.out(printable(`joined ${url} as "${name}" (${runtimeId})`))
      if (wanted === undefined) terminal.err('named after this host; choose another name with --name')
      terminal.err(`calls of agents on ${config.db.path} now count toward the shared budget too`)
    },
  })

/** Throws CageError `usage`: a token must not cross a network in clear. */
function panelAddress(typed: string): string {
  const url = /^https?:\/\//.test(typed) && URL.canParse(typed) ? new URL(typed) : undefined
  if (!url) throw new CageError('usage', `expected an address such as https://panel.example.com, got "${typed}"`)
  if (url.protocol === 'http:' && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) {
    throw new CageError('usage', `${url.host} is another machine, and http would send the token there in clear`, {
      hint: 'put a TLS proxy in front of the panel, and join its https address',
    })
  }
  return url.origin
}
