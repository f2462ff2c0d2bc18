/** Ways for an agent around the cage, and obstacles between the cage and its providers. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { Peers } from '../../../access/peers.ts'
import { systemClock } from '../../../core/clock.ts'
import { providerKeysIn, uncagedKeys } from '../../../dialects/key-variables.ts'
import { knownProvider } from '../../../dialects/known-providers.ts'
import { usedKeyNames } from '../../../vault/open-vault.ts'
import { type Check, fail, ok, type Subject, warn } from './check.ts'

export const exposureChecks: readonly Check[] = [
  {
    name: 'Own keys',
    look: ({ loaded, terminal }) => {
      const isShielded = loaded.config.agent.provider_keys === 'shield'
      const { variables } = terminal.env
      const shielded = usedKeyNames(loaded.config.providers)
      const seen = isShielded ? uncagedKeys(variables, shielded) : providerKeysIn(variables)
      if (seen.length === 0) return ok('an agent finds no key of a provider in its environment')
      return warn(
        `an agent finds ${seen.join(', ')} and could call past the cage`,
        isShielded ? 'start without these variables' : 'start with --provider-keys shield, or without these variables',
      )
    },
  },
  {
    name: 'User',
    look: () =>
      process.getuid?.() === 0
        ? warn('agents run as root and can read and change everything', 'run it as a separate user')
        : ok('not root; an agent can read what this user can'),
  },
  {
    name: 'Proxies',
    look: ({ loaded: { config } }) => {
      const { https_proxy, http_proxy, no_proxy } = config.network
      const through = Object.entries({ https: https_proxy, http: http_proxy })
        .flatMap(([scheme, url]) => (url === undefined ? [] : `${scheme} through ${new URL(url).host}`))
        .join(', ')
      return ok(through ? `${through}; directly: ${no_proxy}` : 'none')
    },
  },
  {
    name: 'Base addresses',
    look: ({ loaded: { config, origins }, terminal }) => {
      const isVariable = (origin = '') => Object.hasOwn(terminal.env.variables, origin)
      const taken = Object.entries(config.providers)
        .map(([name, { base_url }]) => ({ name, base_url, origin: origins[`providers.${name}.base_url`] }))
        .filter(({ origin }) => isVariable(origin))
        .map(({ name, base_url, origin }) => `${name} at ${base_url} (${origin})`)
      return ok(taken.length === 0 ? 'those of the configuration' : taken.join(', '))
    },
  },
  {
    name: 'Listening',
    look: ({ loaded }) => {
      const { host, tls } = loaded.config.server
      if (tls) return ok(`to ${host}, encrypted`)
      return ['127.0.0.1', 'localhost', '::1'].includes(host)
        ? ok('to this machine only')
        : warn(
            `${host} is reachable from other machines, without encryption`,
            'set server.tls, or server.host to 127.0.0.1',
          )
    },
  },
  { name: 'Run tokens', look: lookAtOurselves },
  { name: 'Providers', look: lookAtProviders },
]

/** Whether the server will see which process calls it. */
async function lookAtOurselves() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peers = new Peers(systemClock)
  await peers.tryToLook((server.address() as AddressInfo).port)
  server.close()
  return peers.canLook
    ? ok("an agent's token works for its own processes alone")
    : warn('the calling process cannot be identified here: anybody with the token of a running agent can use it', LINUX)
}

const LINUX = 'start with --provider-keys shield, so that it is in no address; on Linux it is bound to the run'

/** Any answer is a good one: it takes name, route and certificate. */
async function lookAtProviders({ loaded, online }: Subject) {
  if (!online) return ok('not checked; use --online')
  const addresses = Object.entries(loaded.config.providers).map(
    ([name, { base_url }]) => [name, base_url ?? knownProvider(name)!.baseUrl!] as const,
  )
  const silent: string[] = []
  await Promise.all(
    addresses.map(([name, url]) =>
      fetch(url, { signal: AbortSignal.timeout(10_000), redirect: 'manual' }).catch(({ cause, message }) =>
        silent.push(`${name} at ${new URL(url).host} (${cause?.code ?? message})`),
      ),
    ),
  )
  return silent.length === 0
    ? ok(`${addresses.map(([name]) => name).join(', ')} answer`)
    : fail(`no answer from ${silent.join(', ')}`, 'check the network, and providers.….base_url')
}
