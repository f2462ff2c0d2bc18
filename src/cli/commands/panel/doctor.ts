import { Command } from '@commander-js/extra-typings'
import { ERRORS } from '../../../errors.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, withFleet } from './fleet.ts'

export const panelDoctorCommand: CliCommand = (terminal) =>
  new Command('doctor')
    .description('Check that the books of all shared budgets agree with each other')
    .option('--database <address>', DATABASE_HELP, DEFAULT_DATABASE)
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['panel doctor --database postgres://panel@localhost/panel', '']))
    .action(async ({ database, json: asJson }) => {
      const problems = await withFleet(database, (fleet) => fleet.problems())
      if (problems.length > 0) terminal.exitCode = ERRORS.audit_broken.exit
      if (asJson) return terminal.out(json({ ok: problems.length === 0, problems }))
      for (const problem of problems) terminal.out(`broken: ${problem}`)
      if (problems.length === 0) terminal.out('ok: budgets, leases and transfers agree')
    })
