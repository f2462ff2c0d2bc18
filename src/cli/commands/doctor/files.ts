/** Are the database and what lies beside it whole, and for this user only? */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readServerFile } from '../../../access/server-file.ts'
import { readWitness } from '../../../audit/anchor.ts'
import { verifyChain } from '../../../audit/verify.ts'
import { systemClock } from '../../../core/clock.ts'
import { auditHeadPath, auditKeyPath, databaseFiles, dataKeyPath, serverFilePath } from '../../../db/files.ts'
import { readStore } from '../../../db/store.ts'
import { tryKey } from '../../../vault/unlock.ts'
import { type Check, type CheckResult, fail, ok, type Subject, warn } from './check.ts'

/** A clock that differs by less is no concern. */
const CLOCK_SLACK_MS = 60_000
const NO_DATABASE = ok('no database yet')

export const fileChecks: readonly Check[] = [
  {
    name: 'Server',
    look: async ({ loaded }) => {
      const { path } = loaded.config.db
      const server = await readServerFile(path)
      if (!server) {
        return existsSync(serverFilePath(path))
          ? warn('the last server was killed', 'nothing to do: the next start repairs it')
          : ok('none is running')
      }
      const answer = await fetch(`${server.url}/api/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => null)
      return answer?.ok
        ? ok(`running at ${server.url}`)
        : fail(`process ${server.pid} does not answer as expected at ${server.url}`, 'check its log, then restart it')
    },
  },
  { name: 'File modes', look: lookAtModes },
  {
    name: 'Database',
    look: (subject) =>
      withDatabase(subject, (client) => {
        const problem = client.pragma('integrity_check(1)', { simple: true })
        const broken = client.pragma('foreign_key_check') as unknown[]
        if (problem !== 'ok') return fail(String(problem), 'stop the server and restore a backup')
        return broken.length === 0
          ? ok(`${subject.loaded.config.db.path} is intact`)
          : fail(`${broken.length} rows refer to rows that do not exist`, 'stop the server and restore a backup')
      }),
  },
  {
    name: 'Clock',
    look: (subject) =>
      withDatabase(subject, (client) => {
        const last = client.prepare('SELECT max(at) FROM events').pluck().get() as string | null
        const ahead = last === null ? 0 : Date.parse(last) - systemClock.now()
        return ahead > CLOCK_SLACK_MS
          ? fail(`the newest event is ${Math.round(ahead / 1000)} s in the future`, 'set the clock of this machine')
          : ok('later than every event')
      }),
  },
  {
    name: 'Open holds',
    look: (subject) =>
      withDatabase(subject, (client) => {
        const count = client.prepare("SELECT count(*) FROM calls WHERE state = 'unresolved'").pluck().get() as number
        return count === 0
          ? ok('none')
          : warn(
              `${count} calls that a killed server left open hold money`,
              'iron-cage budget calls <agent> --state unresolved, then charge or release each',
            )
      }),
  },
  {
    name: 'Audit anchor',
    look: ({ loaded }) => {
      const { path } = loaded.config.db
      if (!existsSync(path)) return NO_DATABASE
      const missing = [auditKeyPath(path), auditHeadPath(path)].filter((file) => !existsSync(file))
      return missing.length === 0
        ? ok('key and head are beside the database')
        : fail(`${missing.join(', ')} is missing`, 'restore it from a backup')
    },
  },
  {
    name: 'Audit',
    look: async ({ loaded }) => {
      const { path } = loaded.config.db
      if (!existsSync(path)) return NO_DATABASE
      const witness = readWitness(path)
      using store = readStore(path)
      const verdict = await verifyChain(store.audit, witness)
      return verdict.ok
        ? ok(`${verdict.rows} rows, none changed`)
        : fail(verdict.problem, 'keep a copy of the files; compare with a backup or an export (docs/audit.md)')
    },
  },
  {
    name: 'Shared budget',
    look: (subject) =>
      withDatabase(subject, (client) => {
        const leases = client.prepare('SELECT count(*) FROM leases').pluck().get() as number
        const wrong = client
          .prepare(
            'SELECT id FROM leases WHERE used_nanos <> (SELECT coalesce(sum(cost_nanos), 0) FROM calls WHERE lease_id = leases.id)',
          )
          .pluck()
          .all()
        if (wrong.length === 0)
          return ok(leases === 0 ? 'nothing is borrowed' : `${leases} leases agree with their calls`)
        return fail(
          `the calls of ${wrong.join(', ')} cost something else than the lease says`,
          'keep a copy of the database, and compare with the provider before you resolve these leases',
        )
      }),
  },
  {
    name: 'Data key',
    look: (subject) =>
      withDatabase(subject, (client, path) => {
        const sealed = client
          .prepare('SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM service_cache)')
          .pluck()
          .get() as number
        if (existsSync(dataKeyPath(path))) return ok(`${sealed} sealed entries and their key`)
        return sealed === 0
          ? ok('nothing is sealed')
          : fail(`${dataKeyPath(path)} is missing: ${sealed} entries cannot be opened`, 'restore it from a backup')
      }),
  },
  {
    name: 'Master key',
    look: async (subject) => {
      const given = subject.terminal.env.readMasterKey()
      const { path } = subject.loaded.config.db
      using store = existsSync(path) ? readStore(path) : undefined
      const tried = await tryKey({ ...given, store })
      if (tried.state === 'locked') {
        const isGiven = given.masterKey !== undefined || given.masterKeyProblem !== undefined
        return isGiven ? fail(tried.message, tried.hint) : lookAtLockedSecrets(subject, tried.hint)
      }
      return ok(tried.root ? 'opens the vault' : 'strong enough')
    },
  },
]

function lookAtModes({ loaded, terminal }: Subject): CheckResult {
  const { path } = loaded.config.db
  const home = terminal.env.variables.HOME
  const secrets = [...databaseFiles(path), ...(home === undefined ? [] : [join(home, '.iron', 'tokens')])]
  const open = secrets.filter((file) => ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0)
  return open.length === 0
    ? ok('database, keys and tokens are for this user only')
    : fail(`others can read ${open.join(', ')}`, `chmod 600 ${open.join(' ')}`)
}

const lookAtLockedSecrets = (subject: Subject, hint: string): CheckResult =>
  withDatabase(subject, (client) => {
    const count = client.prepare('SELECT count(*) FROM secrets').pluck().get() as number
    if (count === 0) return ok('none, and no secrets either')
    return warn(`none here, so ${count === 1 ? '1 secret stays' : `${count} secrets stay`} locked`, hint)
  })

type SqliteClient = ReturnType<typeof readStore>['orm']['$client']

function withDatabase({ loaded }: Subject, look: (client: SqliteClient, path: string) => CheckResult): CheckResult {
  const { path } = loaded.config.db
  if (!existsSync(path)) return NO_DATABASE
  using store = readStore(path)
  return look(store.orm.$client, path)
}
