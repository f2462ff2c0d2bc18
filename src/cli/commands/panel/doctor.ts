import { Command } from '@commander-js/extra-typings'
import { ERRORS } from '../../../errors.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, REDIS_HELP } from './flags.ts'

export const panelDoctorCommand: CliCommand = (terminal) =>
  new Command('doctor')
    .description('Check that the books of all shared budgets agree with each other')
    .option('--database <address>', DATABASE_HELP, DEFAULT_DATABASE)
    .option('--redis <address>', REDIS_HELP)
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['panel doctor --database postgres://panel@localhost/panel', '']))
    .action(async ({ database, redis: address, json: asJson }) => {
      const { redisOf, withFleet } = await import('./fleet.ts')
      const { problemOfRedis } = await import('../../../panel/redis-changes.ts')
      const redis = redisOf({ database, redis: address }, terminal)
      const problems = await withFleet(database, (fleet) => fleet.problems())
      const problem = redis && (await problemOfRedis(redis.url))
      if (problems.length > 0) terminal.exitCode = ERRORS.audit_broken.exit
      if (asJson)
        return terminal.out(json({ ok: problems.length === 0, problems, ...(redis && { redis: problem ?? 'ok' }) }))
      for (const problem of problems) terminal.out(`broken: ${problem}`)
      if (problems.length === 0) terminal.out('ok: budgets, leases and transfers agree')
      if (problem !== undefined) terminal.out(`late: ${redis!.name} cannot be used: ${problem}`)
      else if (redis) terminal.out(`ok: ${redis.name} answers`)
    })
