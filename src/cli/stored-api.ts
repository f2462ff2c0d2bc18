/**
 * Users, tokens and reports for commands: asked of the server that runs, or done on its database file by the same routes when none
 * does. Whoever may write the file is its operator.
 */
import { Hono } from 'hono'
import { ApiTokens } from '../access/api-tokens.ts'
import { Peers } from '../access/peers.ts'
import { RunTokens } from '../access/run-tokens.ts'
import { readServerFile } from '../access/server-file.ts'
import { Sessions } from '../access/sessions.ts'
import { Users } from '../access/users.ts'
import { allAgents, listPastAgents } from '../api/agents.ts'
import { callRoutes } from '../api/calls.ts'
import { errorResponse } from '../api/error-response.ts'
import { type Env, guard } from '../api/guard.ts'
import { Refusals } from '../api/refusals.ts'
import { reportRoutes } from '../api/report.ts'
import { secretRoutes } from '../api/secrets.ts'
import { tokenRoutes } from '../api/tokens.ts'
import { userRoutes } from '../api/users.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import { forLogs, policyOf } from '../redaction/policy.ts'
import { Redactor } from '../redaction/redactor.ts'
import { newToken } from '../tokens.ts'
import { Vault } from '../vault/vault.ts'
import { type Client, type ClientFlags, connect, readAnswer } from './client.ts'
import { loadFlags } from './flags.ts'
import { isUnserved, type Stored, withStored } from './stored.ts'
import type { Terminal } from './terminal.ts'

export interface AccessOptions {
  /** Make the database when there is none. (Default: then a server is needed.) */
  makesDatabase?: boolean
  /** For secrets: that takes a moment. (Default: secrets are not there when the file is used.) */
  opensVault?: boolean
}

/** No agent runs, so none asks. */
const NO_AGENTS = { isEntitled: () => false }

/** Throws what `connect` and `withStored` throw. */
export async function withAccess<T>(
  flags: ClientFlags,
  terminal: Terminal,
  use: (client: Client) => Promise<T>,
  { makesDatabase = false, opensVault = false }: AccessOptions = {},
): Promise<T> {
  if (terminal.env.serverUrl === undefined) {
    const { config } = loadFlags(flags, terminal)
    const isFree = makesDatabase ? !(await readServerFile(config.db.path)) : await isUnserved(config)
    if (isFree) {
      return withStored(config, async (stored) => {
        if (!opensVault) return use(clientOfFile(config, stored))
        const vault = await Vault.open({ ...stored, clock: systemClock, loads: false, ...terminal.env.readMasterKey() })
        try {
          return await use(clientOfFile(config, stored, vault))
        } finally {
          vault.close()
        }
      })
    }
  }
  return use(connect(flags, terminal))
}

function clientOfFile({ safety, agent }: Config, stored: Stored, vault?: Vault): Client {
  const parts = { ...stored, clock: systemClock }
  const users = new Users(parts)
  const operatorToken = newToken('ic')
  const sessions = new Sessions({ ...parts, users, operatorToken })
  const apiTokens = new ApiTokens(parts)
  const logRedactor = new Redactor(forLogs(policyOf(safety)))
  const access = { ...parts, users, sessions, apiTokens, logRedactor, safety, environment: agent.environment }
  const guarded = guard({ ...access, runTokens: new RunTokens(new Peers(systemClock)), refusals: new Refusals(parts) })
  const routes = new Hono<Env>()
    .get('/api/agents', guarded('viewer'), (context) => context.json(allAgents(stored.state)))
    .get('/api/agents/past', guarded('viewer'), (context) => context.json(listPastAgents(stored.state, context)))
    .route('/api/users', userRoutes(access, guarded))
    .route('/api/tokens', tokenRoutes(access, guarded))
    .route('/api/agents', callRoutes(access, guarded))
    .route('/', reportRoutes(access, guarded))
  if (vault) routes.route('/api/secrets', secretRoutes({ ...access, vault, rotation: NO_AGENTS }, guarded))
  routes.notFound(({ req }) => {
    throw new CageError('not_found', `there is no ${req.method} ${req.path} without a server`, {
      hint: 'start one with "iron-cage serve"',
    })
  })
  routes.onError((error, context) => {
    // There is no log that could tell it.
    const onFault = (fault: unknown) => {
      throw fault
    }
    return errorResponse(context, error, onFault, (text) => logRedactor.clean(text))
  })
  return {
    send: async <Body>(method: string, path: string, body?: unknown) => {
      const headers = { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' }
      const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }
      return (await readAnswer(stored.store.path, await routes.request(path, request))) as Body
    },
  }
}
