/** Reads the database itself: it works without a server, and says what is in the file and nothing else. */
import { statSync } from 'node:fs'
import { readWitness } from '../audit/anchor.ts'
import { exportLines } from '../audit/export.ts'
import { verifyChain } from '../audit/verify.ts'
import { readStore } from '../db/store.ts'
import { CageError } from '../errors.ts'
import { type ConfigFlags, loadFlags, withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import type { Command, Terminal } from './terminal.ts'

export const auditCommand: Command = (yargs, terminal) =>
  yargs.command('audit', 'Who did what: is the record as it was written, and a copy of it', (audit) =>
    audit
      .command(
        'verify',
        'Look at every row; exits 8 at the first that is not as it was written',
        (command) =>
          withDatabaseFlags(command)
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 audit verify', 'also while the server runs'),
        async ({ json: asJson, ...flags }) => {
          const path = databasePath(flags, terminal)
          const witness = readWitness(path)
          using store = readStore(path)
          const verdict = await verifyChain(store.audit, witness)
          if (asJson) terminal.out(json(verdict))
          if (!verdict.ok) throw new CageError('audit_broken', verdict.problem, { facts: { row: verdict.row } })
          if (!asJson) terminal.out(`${verdict.rows} rows, each as it was written; head ${verdict.head}`)
        },
      )
      .command(
        'export',
        'Write every row, and how to check them elsewhere (docs/audit.md)',
        (command) =>
          withDatabaseFlags(command)
            .option('format', {
              choices: ['jsonl'] as const,
              default: 'jsonl' as const,
              describe: 'One JSON line a row',
            })
            .example('$0 audit export > audit.jsonl', 'to keep elsewhere'),
        async (flags) => {
          using store = readStore(databasePath(flags, terminal))
          for await (const line of exportLines(store.audit)) terminal.out(line)
        },
      )
      .demandCommand(1, 'audit needs one of: verify, export'),
  )

function databasePath(flags: ConfigFlags & { db?: string }, terminal: Terminal): string {
  const { path } = loadFlags(flags, terminal).config.db
  if (statSync(path, { throwIfNoEntry: false })) return path
  throw new CageError('not_found', `there is no database ${path}`, { hint: 'name it with --db' })
}
