import { lookup } from 'node:dns/promises'
import { isPublic, withoutMapping } from '../../../config/addresses.ts'
import { type Authority, authorityOf, parseAuthority, showAuthority } from '../../../config/authority.ts'
import type { Config } from '../../../config/schema.ts'
import { CageError } from '../../../core/errors.ts'
import { knownProvider } from '../../../dialects/known-providers.ts'
import { Destinations, routeIn } from '../../../egress/destinations.ts'
import { addressRefused } from '../../../egress/dial.ts'
import { requireOwnedWildcards } from '../../../egress/open-egress.ts'
import { notListed, outsidePath } from '../../../egress/proxy.ts'
import { type EgressSettings, Rules } from '../../../egress/rules.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withAgent } from '../../settings/flags.ts'
import { loadServerFlags } from '../../settings/server-flags.ts'

export const checkEgressCommand: CliCommand = (terminal) =>
  command({
    command: 'check <address>',
    describe: 'Say whether an agent of this configuration reaches an address, and how; exits 4 if it is refused',
    builder: (yargs) =>
      withAgent(yargs)
        .positional('address', { type: 'string', demandOption: true, describe: 'https://host/path, or host:port' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 egress check https://api.github.com/user', 'before a run']]),
    handler: async ({ address, json: asJson, ...flags }) => {
      const { config } = loadServerFlags(flags, terminal)
      await requireOwnedWildcards(config.agent.egress ?? {})
      const { to, path } = read(address)
      const egress = egressOf(config)
      const found = egress ? await judge(config, egress, to, path) : { how: UNRESTRICTED }
      if (found instanceof CageError) {
        const { code, message, hint } = found
        if (asJson) terminal.out(json({ allowed: false, ...to, code, message, hint }))
        throw found
      }
      terminal.out(asJson ? json({ allowed: true, ...to, ...found }) : `allowed: ${showAuthority(to)} is ${found.how}`)
    },
  })

const UNRESTRICTED = 'not restricted, nor read, as agent.egress is not set'

/** At `strict` an agent without a list reaches services and providers alone. */
const egressOf = ({ agent: { egress, sandbox } }: Config): EgressSettings =>
  egress ?? (sandbox.level === 'strict' ? { allow: [], private: [], mode: 'enforce' } : undefined)

/** How it is reached, or the error of the proxy. */
async function judge(
  config: Config,
  egress: NonNullable<EgressSettings>,
  to: Authority,
  path: string,
): Promise<{ how: string } | CageError> {
  const decision = new Rules(new Destinations(config, addressesOf(config)), egress).decide(to)
  if (decision.kind === 'destination') {
    const found = routeIn(decision.all, path)
    return found
      ? { how: `the ${found.to.kind} ${found.to.name}: its requests are read` }
      : outsidePath(decision.all, to, path)
  }
  if (decision.kind === 'refused') return notListed(to)
  if (!decision.isListed) return { how: 'not listed; in mode observe it is reached all the same' }
  const address = decision.reach === 'public' ? (await resolve(to)).find((found) => !isPublic(found)) : undefined
  return address === undefined ? { how: 'listed: a tunnel, whose bytes are not read' } : addressRefused(to, address)
}

/** Empty for a name that no server knows now. */
const resolve = (to: Authority): Promise<string[]> =>
  lookup(to.host, { all: true }).then(
    (found) => found.map(({ address }) => withoutMapping(address)),
    () => [],
  )

function read(address: string) {
  const url = /^https?:\/\//i.test(address) ? URL.parse(address) : null
  const to = parseAuthority(url ? showAuthority(authorityOf(url)) : /:\d+$/.test(address) ? address : `${address}:443`)
  if (!to) throw new CageError('usage', `"${address}" is no address`, { hint: 'such as https://api.github.com/user' })
  return { to, path: url?.pathname ?? '/' }
}

const addressesOf = ({ providers }: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries(providers).map(([name, { base_url }]) => [name, base_url ?? knownProvider(name)!.baseUrl!]),
  )
