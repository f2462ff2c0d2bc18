import { readWitness } from '../../../audit/anchor.ts'
import { verifyChain } from '../../../audit/verify.ts'
import { CageError } from '../../../core/errors.ts'
import { readStore } from '../../../db/store.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { databasePath } from './database-path.ts'

export const verifyCommand: CliCommand = (terminal) =>
  commandWithDatabase('verify')
    .description('Check that no row was changed or removed; exits 8 at the first that was')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['audit verify', 'also while the server runs']))
    .action(async ({ json: asJson, ...flags }) => {
      const path = databasePath(flags, terminal)
      const witness = readWitness(path)
      using store = readStore(path)
      const verdict = await verifyChain(store.audit, witness)
      if (asJson) terminal.out(json(verdict))
      if (!verdict.ok) throw new CageError('audit_broken', verdict.problem, { facts: { row: verdict.row } })
      if (!asJson) terminal.out(`${verdict.rows} rows, unchanged; head ${verdict.head}`)
    })
