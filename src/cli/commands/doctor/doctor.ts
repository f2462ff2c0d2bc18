/** `iron-cage doctor`: checks everything that is known to go wrong, in this order, and explains how to fix it. */
import { configSchema } from '../../../config/schema.ts'
import { asCageError } from '../../../core/errors.ts'
import { showNumberOf } from '../../../core/units.ts'
import { wrapLines } from '../../../log/wrap.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { type ServerFlags, withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'
import { type Check, type CheckResult, fail, ok, type Subject } from './check.ts'
import { exposureChecks } from './exposure.ts'
import { fileChecks } from './files.ts'
import { machineChecks } from './machine.ts'

const CHECKS: readonly Check[] = [...machineChecks, ...fileChecks, ...exposureChecks]
const MARKS = { ok: '✔', warn: '!', fail: '✖' } as const

export const doctorCommand: CliCommand = (terminal) =>
  command({
    command: 'doctor',
    describe: 'Check whether this machine is ready and what would not be guarded; exits 1 when something is wrong',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('port', { type: 'string', requiresArg: true, describe: 'Port to listen on (default: 8080)' })
        .option('online', { type: 'boolean', describe: 'Check that the providers answer as well' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 doctor', 'with or without a running server']]),
    handler: async ({ online, json: asJson, ...flags }) => {
      const results = await examine(flags, online === true, terminal)
      if (results.some(({ status }) => status === 'fail')) terminal.exitCode = 1
      if (asJson) terminal.out(json({ ok: terminal.exitCode === 0, checks: results }))
      else wrapLines(resultLines(results), terminal.columns).forEach(terminal.out)
    },
  })

type NamedResult = { name: string } & CheckResult

/** A broken configuration is one failed check; the others then use the defaults. */
async function examine(flags: ServerFlags, online: boolean, terminal: Terminal): Promise<NamedResult[]> {
  let configuration: CheckResult
  let subject: Subject = { loaded: { config: configSchema.parse({}), origins: {}, file: null }, terminal, online }
  try {
    subject = { ...subject, loaded: await readConfig(flags, terminal) }
    configuration = ok(subject.loaded.file ?? 'no file; defaults, flags and environment')
  } catch (error) {
    configuration = failedCheck(error)
  }
  const results: NamedResult[] = [{ name: 'Configuration', ...configuration }]
  for (const { name, look } of CHECKS) {
    const result = Promise.resolve(subject).then(look).catch(failedCheck)
    results.push({ name, ...(await result) })
  }
  return results
}

function failedCheck(error: unknown): CheckResult {
  const { code, message, hint, cause } = asCageError(error)
  return fail(code === 'internal' ? String((cause as Error | undefined)?.message ?? message) : message, hint)
}

function resultLines(results: readonly NamedResult[]): string[] {
  const count = (status: CheckResult['status']) => results.filter((result) => result.status === status).length
  const width = Math.max(...results.map(({ name }) => name.length))
  const lines = results.flatMap(({ name, status, what, fix }, index) => {
    if (index > 0 && isSame(results[index - 1]!, results[index]!)) return []
    const rest = results.slice(index + 1)
    const repeats = rest.findIndex((next) => !isSame(results[index]!, next))
    const more = repeats === -1 ? rest.length : repeats
    return [
      `${MARKS[status]} ${name.padEnd(width)}  ${what}${more > 0 ? ` (and ${more} more)` : ''}`,
      ...(fix === undefined ? [] : [`  ${''.padEnd(width)}  fix: ${fix}`]),
    ]
  })
  return [...lines, `${count('ok')} passed, ${showNumberOf(count('warn'), 'warning')}, ${count('fail')} failed`]
}

/** Checks with the same result in a row are one line: without a database there are seven. */
const isSame = (one: CheckResult, other: CheckResult): boolean =>
  one.status === other.status && one.what === other.what && one.fix === other.fix
