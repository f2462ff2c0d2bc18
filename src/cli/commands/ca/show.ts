import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

interface AuthorityReply {
  certificate: string
  fingerprint: string
  public_key: string
}

export const showAuthorityCommand: CliCommand = (terminal) =>
  command({
    command: 'show',
    describe: 'Print the certificate; a server makes its own, in memory, so that each start has another one',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 ca show > ca.pem', 'for a client that reads a file']]),
    handler: async ({ json: asJson, ...flags }) => {
      const authority = await withClient(flags, terminal, (client) =>
        client.send<AuthorityReply>('GET', '/api/egress/ca'),
      )
      if (asJson) return terminal.out(json(authority))
      terminal.err(`SHA-256 ${authority.fingerprint}`)
      terminal.err(`Chromium: --ignore-certificate-errors-spki-list=${authority.public_key}`)
      terminal.out(authority.certificate.trimEnd())
    },
  })
