/** Opens the gateway and everything that calls to providers and services use. */
import type { Access } from '../access/open-access.ts'
import { Circuits } from '../breaker/circuits.ts'
import { RateLimits } from '../breaker/rate-limits.ts'
import { ServiceCache } from '../breaker/service-cache.ts'
import type { Money } from '../budget/open-money.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { openPools } from '../core/http-pools.ts'
import type { Store } from '../db/store.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Safety } from '../redaction/safety.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Secrets } from '../vault/open-vault.ts'
import { BodyMemory } from './bodies/held-bytes.ts'
import { LargeBodies } from './bodies/large-bodies.ts'
import { changedSettings } from './changed-settings.ts'
import { UnchargedCalls } from './charging/uncharged.ts'
import { type AnswerCall, gateway } from './gateway.ts'
import { LoopDetector } from './limits/loop-detector.ts'
import { ToolLimits } from './limits/tool-limits.ts'
import { readNetwork } from './provider/network.ts'
import { Keyring } from './provider/provider-key.ts'
import { Sender } from './provider/send.ts'
import { Upstream } from './provider/upstream.ts'
import { SealedOriginals } from './redaction/sealed-originals.ts'
import { Contents } from './replies/contents.ts'
import type { Road } from './road.ts'

export interface Gateway {
  answer: AnswerCall
  /** The providers. */
  upstream: Upstream
  /** Circuits of providers, their models, and services. */
  circuits: Circuits
  /** Successful responses of services. */
  cache: ServiceCache
  /** Contents of calls. */
  contents: Contents
  close(): Promise<void>
}

export interface GatewayOptions {
  store: Store
  state: StateManager
  clock: Clock
  safety: Safety
  incidents: Incidents
  money: Money
  secrets: Pick<Secrets, 'keys' | 'keyNames' | 'vault'>
  access: Pick<Access, 'runTokens' | 'apiTokens'>
  onFault: (error: unknown, what: string) => void
}

/** Maximum connections to one service. */
const MAX_SERVICE_CONNECTIONS = 128

export function openGateway(
  {
    providers,
    services,
    server,
    calls,
    budget,
    network: configured,
  }: Pick<Config, 'providers' | 'services' | 'server' | 'budget' | 'network' | 'calls'>,
  { store, state, clock, safety, incidents, money, secrets, access, onFault }: GatewayOptions,
): Gateway {
  const circuits = new Circuits({ state, clock, configured: [...Object.keys(providers), ...Object.keys(services)] })
  circuits.probeChanged(changedSettings(store.meta, { providers, services }))
  const cache = new ServiceCache({ store, clock })
  const network = readNetwork(configured)
  const upstream = new Upstream(providers, network, clock)
  const dispatcher = openPools(network, { connections: MAX_SERVICE_CONNECTIONS })
  const uncharged = new UnchargedCalls({ state, calls: store.calls, scrub: safety.scrub, clock })
  const keyring = new Keyring(state, secrets)
  const sender = new Sender({ keyring, upstream, circuits, rateLimits: new RateLimits(clock), clock, safety })
  const redaction = {
    redactor: safety.replies,
    incidents,
    originals: new SealedOriginals(store.deriveKey('sealed originals').toString('base64')),
    large: new LargeBodies(clock),
    memory: new BodyMemory(server.max_body_bytes),
  }
  const contents = new Contents({
    config: calls,
    store,
    vault: secrets.vault,
    clock,
    scrub: (text) => safety.logs.clean(text),
    onFault,
  })
  void contents.prune().catch((error) => onFault(error, 'old contents of calls could not be removed'))
  const loops = new LoopDetector(budget.loops, { state, scrub: safety.scrub })
  const answer = gateway({
    access,
    road: {
      state,
      clock,
      money,
      safety,
      redaction,
      sender,
      upstream,
      uncharged,
      contents,
      loops,
      tools: new ToolLimits(budget.tools, safety.scrub),
      cheaper: modelNamed(budget.on_warn?.model),
    },
    services: { services, circuits, cache, money, state, clock, secrets, dispatcher, network, redaction },
    keyring,
    keysLoaded: secrets.keys.loaded,
    maxBodyBytes: server.max_body_bytes,
    onFault,
  })
  const close = async () => {
    await dispatcher.destroy()
    await upstream.close()
    uncharged.close()
    // Listeners, such as alerts, still receive the calls that ended last.
    state.read()
  }
  return { answer, upstream, circuits, cache, contents, close }
}

/** "openai/gpt-4o-mini"; a model's own name may have slashes. */
function modelNamed(name: string | undefined): Road['cheaper'] {
  if (name === undefined) return undefined
  const slash = name.indexOf('/')
  return { provider: name.slice(0, slash), model: name.slice(slash + 1) }
}
