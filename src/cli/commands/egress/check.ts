import { authorityOf, parseAuthority, showAuthority } from '../../../config/authority.ts'
import { sharedWildcards } from '../../../config/host-list.ts'
import type { Config } from '../../../config/schema.ts'
import { CageError } from '../../../core/errors.ts'
import { knownProvider } from '../../../dialects/known-providers.ts'
import { Destinations, routeIn } from '../../../egress/destinations.ts'
import { notListed } from '../../../egress/proxy.ts'
import { type Decision, Rules } from '../../../egress/rules.ts'
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
      for (const { entry } of await sharedWildcards(config.agent.egress?.allow ?? [])) {
        terminal.err(`note: the names below ${entry} belong to different people`)
      }
      const { to, path } = read(address)
      if (!config.agent.egress) {
        return terminal.out(
          asJson
            ? json({ allowed: true, how: 'unrestricted' })
            : 'allowed: agent.egress is not set, so nothing is refused here',
        )
      }
      const decision = new Rules(new Destinations(config, addressesOf(config)), config.agent.egress).decide(to)
      const how = describe(decision, path)
      if (decision.kind === 'refused' || how === undefined) throw notListed(to)
      terminal.out(
        asJson ? json({ allowed: true, host: to.host, port: to.port, how }) : `allowed: ${showAuthority(to)} is ${how}`,
      )
    },
  })

function read(address: string) {
  const url = /^https?:\/\//i.test(address) ? URL.parse(address) : null
  const to = parseAuthority(url ? showAuthority(authorityOf(url)) : /:\d+$/.test(address) ? address : `${address}:443`)
  if (!to) throw new CageError('usage', `"${address}" is no address`, { hint: 'such as https://api.github.com/user' })
  return { to, path: url?.pathname ?? '/' }
}

/** Undefined for a path that no provider or service has. */
function describe(decision: Decision, path: string): string | undefined {
  if (decision.kind === 'destination') {
    const found = routeIn(decision.all, path)
    return found && `the ${found.to.kind} ${found.to.name}: its requests are read`
  }
  if (decision.kind !== 'tunnel') return undefined
  if (!decision.isListed) return 'not listed; in mode observe it is reached all the same'
  return 'listed: a tunnel, whose bytes are not read'
}

const addressesOf = ({ providers }: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries(providers).map(([name, { base_url }]) => [name, base_url ?? knownProvider(name)!.baseUrl!]),
  )
