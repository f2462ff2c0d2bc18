import { isoTime } from '../../../core/clock.ts'
import { ERRORS } from '../../../core/errors.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, REDIS_HELP } from './flags.ts'

export const panelDoctorCommand: CliCommand = (terminal) =>
  command({
    command: 'doctor',
    describe: 'Check that the books of all shared budgets agree with each other, and the database of a panel',
    builder: (yargs) =>
      yargs
        .option('database', { type: 'string', requiresArg: true, describe: DATABASE_HELP, default: DEFAULT_DATABASE })
        .option('redis', { type: 'string', requiresArg: true, describe: REDIS_HELP })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 panel doctor --database postgres://panel@localhost/panel', '']]),
    handler: async ({ database, redis: address, json: asJson }) => {
      const { examine, redisOf } = await import('./fleet.ts')
      const { problemOfRedis } = await import('../../../panel/db/redis-changes.ts')
      const redis = redisOf({ database, redis: address }, terminal)
      const { schema, problems, enforcesRowSecurity, reconcilingUntil } = await examine(database)
      const problem = redis && (await problemOfRedis(redis.url))
      if (problems.length > 0) terminal.exitCode = ERRORS.audit_broken.exit
      const until = reconcilingUntil === null ? null : isoTime(reconcilingUntil)
      if (asJson) {
        const found = { schema, has_row_security: enforcesRowSecurity, reconciling_until: until }
        return terminal.out(
          json({ ok: problems.length === 0, problems, ...found, ...(redis && { redis: problem ?? 'ok' }) }),
        )
      }
      for (const problem of problems) terminal.out(`broken: ${problem}`)
      if (problems.length === 0) terminal.out('ok: budgets, leases and transfers agree')
      terminal.out(`ok: schema version ${schema.version}, usable by panels from schema version ${schema.oldest} on`)
      if (until !== null) {
        terminal.out(`wait: nothing is lent until all machines have presented their leases, or ${until}`)
      }
      if (!enforcesRowSecurity) {
        terminal.out(
          'warning: the database role is a superuser or exempt from row-level security, so that organizations are kept apart by statements alone; use one that is not, and owns the database',
        )
      }
      if (problem !== undefined) terminal.out(`late: ${redis!.name} cannot be used: ${problem}`)
      else if (redis) terminal.out(`ok: ${redis.name} answers`)
    },
  })
