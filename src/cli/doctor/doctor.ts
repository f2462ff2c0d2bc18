/** `iron-cage doctor`: looks at everything that is known to go wrong, in this order, and says what to do about it. */
import { configSchema } from '../../config/schema.ts'
import { asCageError } from '../../errors.ts'
import { loadFlags, type ServerFlags, withDatabaseFlags } from '../flags.ts'
import { json } from '../print.ts'
import type { Command, Terminal } from '../terminal.ts'
import { type Check, type Finding, fail, ok, type Subject } from './check.ts'
import { exposureChecks } from './exposure.ts'
import { fileChecks } from './files.ts'
import { machineChecks } from './machine.ts'

const CHECKS: readonly Check[] = [...machineChecks, ...fileChecks, ...exposureChecks]
const MARKS = { ok: '✔', warn: '!', fail: '✖' } as const

export const doctorCommand: Command = (yargs, terminal) =>
  yargs.command(
    'doctor',
    'Is this machine ready, and what would not be guarded; exits 1 when something is wrong',
    (command) =>
      withDatabaseFlags(command)
        .option('port', { type: 'string', requiresArg: true, describe: 'Port to listen on (default: 8080)' })
        .option('online', { type: 'boolean', describe: 'Ask the providers as well whether they answer' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 doctor', 'with and without a running server'),
    async ({ online, json: asJson, ...flags }) => {
      const results = await examine(flags, online === true, terminal)
      const count = (status: Finding['status']) => results.filter((result) => result.status === status).length
      if (count('fail') > 0) terminal.exitCode = 1
      if (asJson) return terminal.out(json({ ok: count('fail') === 0, checks: results }))
      const width = Math.max(...results.map(({ name }) => name.length))
      for (const { name, status, what, fix } of results) {
        terminal.out(`${MARKS[status]} ${name.padEnd(width)}  ${what}`)
        if (fix !== undefined) terminal.out(`  ${''.padEnd(width)}  fix: ${fix}`)
      }
      terminal.out(`${results.length} checks: ${count('ok')} fine, ${count('warn')} to know, ${count('fail')} wrong`)
    },
  )

type Result = { name: string } & Finding

/** A configuration that is broken is one finding; the others then see the defaults. */
async function examine(flags: ServerFlags, online: boolean, terminal: Terminal): Promise<Result[]> {
  let configuration: Finding
  let subject: Subject = { loaded: { config: configSchema.parse({}), origins: {}, file: null }, terminal, online }
  try {
    subject = { ...subject, loaded: loadFlags(flags, terminal) }
    configuration = ok(subject.loaded.file ?? 'no file; defaults, flags and environment')
  } catch (error) {
    configuration = failureOf(error)
  }
  const results: Result[] = [{ name: 'Configuration', ...configuration }]
  for (const { name, look } of CHECKS) {
    const finding = Promise.resolve(subject).then(look).catch(failureOf)
    results.push({ name, ...(await finding) })
  }
  return results
}

function failureOf(error: unknown): Finding {
  const { code, message, hint, cause } = asCageError(error)
  return fail(code === 'internal' ? String((cause as Error | undefined)?.message ?? message) : message, hint)
}
