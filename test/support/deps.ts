/** The deps that the API stands on, opened by hand: all real, on their own database. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAccess } from '../../src/access/open-access.ts'
import { Supervisor } from '../../src/agents/supervisor.ts'
import { Alerts } from '../../src/alerts/alerts.ts'
import { type ApiDeps, apiRoutes } from '../../src/api/server.ts'
import { Audit } from '../../src/audit/chain.ts'
import { openMoney } from '../../src/budget/open-money.ts'
import { RunningConfig } from '../../src/config/running-config.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock as clock } from '../../src/core/clock.ts'
import { newToken } from '../../src/core/tokens.ts'
import { openStore } from '../../src/db/store.ts'
import { Egress } from '../../src/egress/open-egress.ts'
import { openGateway } from '../../src/gateway/open-gateway.ts'
import { readNetwork } from '../../src/gateway/provider/network.ts'
import { MAX_HEADER_BYTES } from '../../src/http/listen.ts'
import { Refusals } from '../../src/http/refusals.ts'
import type { Route } from '../../src/http/route.ts'
import { Incidents } from '../../src/redaction/incidents.ts'
import { Safety } from '../../src/redaction/safety.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import type { SecretValue } from '../../src/vault/live-values.ts'
import { closeVault, openVault } from '../../src/vault/open-vault.ts'

/** Must be closed. `settings`: as in the configuration file. */
export async function openDeps(settings: object = {}): Promise<{ deps: ApiDeps; close: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-'))
  const config = configSchema.parse(settings)
  const safety = new Safety(config.safety)
  const store = openStore({ path: join(folder, 'state.db') })
  const onFault = (error: unknown) => {
    throw error
  }
  const state = new StateManager({ store, clock, retentionDays: 7, onFault, clean: safety.scrubEvent })
  const audit = new Audit({ store, state, clock, clean: safety.scrub, onFault, onBroken: onFault })
  const access = openAccess({ store, clock, operatorToken: newToken('ic') })
  const money = openMoney(config, { store, state, clock })
  const onValues = (values: readonly SecretValue[]) => safety.know(values)
  const keyed = { masterKey: undefined, masterKeyProblem: undefined, environment: {}, onValues, onFault }
  const secrets = await openVault(config, { store, state, audit, clock, ...keyed })
  const incidents = new Incidents(store, state)
  const alerts = new Alerts({ store, state, clock, config: config.alerts, onFault })
  const running = new RunningConfig({ config, origins: {}, file: null })
  const base = { config, running, clock, store, state, audit, safety, incidents, money, secrets, access, alerts }
  const gateway = openGateway(config, { ...base, onFault })
  const supervisor = new Supervisor({
    ...base,
    ledger: money.ledger,
    runTokens: access.runTokens,
    secrets: secrets.rotation,
    providerKeyNames: secrets.keyNames.ofProviders,
    parentEnvironment: {},
    providerUrls: gateway.upstream.urls,
    serverFiles: [],
    shimFolder: folder,
    serverUrl: () => 'http://127.0.0.1:8080',
    output: {
      redact: (text) => safety.redactEvent(text),
      redactBeginning: (text) => safety.redactBeginning(text),
      found: () => undefined,
      log: () => undefined,
    },
  })
  const refusals = new Refusals({ state, clock })
  const egress = new Egress({
    ...{ config, environment: {}, state, clock, onFault, runTokens: access.runTokens },
    providerUrls: gateway.upstream.urls,
    network: readNetwork(config.network),
    ownPort: () => 0,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  const deps = { ...base, gateway, egress, supervisor, refusals, viewers: () => 0, version: '0.0.0-test', onFault }
  const close = async () => {
    await supervisor.close()
    refusals.close()
    await egress.close()
    await gateway.close()
    alerts.close()
    money.ledger.close()
    closeVault(secrets)
    state.close()
    await audit.close()
    store.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { deps, close }
}

/** Every route of the API, in the order in which they are tried. */
export async function listRoutes(): Promise<Route[]> {
  const { deps, close } = await openDeps()
  try {
    return apiRoutes(deps)
  } finally {
    await close()
  }
}
