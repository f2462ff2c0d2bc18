import { readWitness } from '../../../audit/anchor.ts'
import { verifyChain } from '../../../audit/verify.ts'
import { CageError } from '../../../core/errors.ts'
import { readStore } from '../../../db/store.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { databasePath } from './database-path.ts'

export const verifyCommand: CliCommand = (terminal) =>
  command({
    command: 'verify',
    describe: 'Check that no row was changed or removed; exits 8 at the first that was',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 audit verify', 'also while the server runs']]),
    handler: async ({ json: asJson, ...flags }) => {
      const path = databasePath(flags, terminal)
      const witness = readWitness(path)
      using store = readStore(path)
      const verdict = await verifyChain(store.audit, witness)
      if (asJson) terminal.out(json(verdict))
      if (!verdict.ok) throw new CageError('audit_broken', verdict.problem, { facts: { row: verdict.row } })
      if (!asJson) terminal.out(`${verdict.rows} rows, unchanged; head ${verdict.head}`)
    },
  })
