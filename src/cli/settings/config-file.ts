/** The configuration file that `config init` writes: the most important settings, and the rest as comments with their defaults. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONFIG_FILES } from '../../config/config.ts'
import { CageError } from '../../core/errors.ts'

/** An option is a line of YAML behind a "#", which works when only that is removed; a sentence begins with "# " and a capital. */
export const CONFIG_TEMPLATE = `# Iron Cage reads this file in the working directory, or beside the agent's script.
# Flags win over environment variables, these over this file. "iron-cage config show" shows what applies and why.
# Commented lines show the defaults; remove the "#" to change one. An unknown key is an error.

budget:
  limit_usd: 10               # The most an agent can spend, in US dollars.
#  warn_at: [0.9]             # Shares of the limit at which to warn, once each.
#  on_exhausted: stop         # Or refuse: the agent goes on without paid calls.
#  clamp_max_tokens: true     # Limit calls that do not say how much they want, where a tenth of the rest pays for no more.
#  per_run_usd: 5             # Also: the most for one run, from a start to its end. No default.
#  server_usd: 50             # Also: the most for all agents together. No default.

safety:
  mode: redact                # What happens to personal data: redact, block (refuse and stop) or warn.
#  detect: [email, phone, ssn, credit_card, iban, secret]     # And ip, national_id, document_number,
                              # date_of_birth, crypto_wallet, mac.
#  modes: { phone: warn }     # By type. No default.
#  allow_domains: []          # E-mail addresses of these domains stay, such as [company.com].
#  scope: [replies, tool_arguments, logs]                     # And requests: what your agent sends.

agent:
#  name: lead_gen             # As it is shown. The script's name otherwise.
#  environment: development   # Whose secrets it gets: development, staging or production.
#  stop_grace_s: 5            # Time between the request to stop and the kill.
#  provider_keys: inject      # Or shield: the agent never holds a real key of a provider.
#  restart: { enabled: true, max: 5, window_s: 60, without_progress: 2 }   # After crashes.

providers:
#  openai: { base_url: https://api.openai.com/v1, retries: 2 }
#  anthropic: { retries: 2 }

# Outside services that your agent's tools call through the cage: a price, a circuit, a fallback.
services:
#  linkedin_api: { base_url: https://api.linkedin.com, cost_per_call_usd: 0.10, breaker: { failures: 5, cooldown_s: 60 } }
#  clearbit_api: { base_url: https://api.clearbit.com, fallback: { cache: { ttl_s: 86400 }, placeholder: { name: unknown } } }

calls:
#  keep_content: false        # true keeps prompts and replies, redacted and sealed; needs a master key.
#  retention_days: 7          # Of kept content.

alerts:
#  email: { to: ops@company.com, from: cage@company.com, smtp_url: smtp://localhost:25 }
#  webhooks: [{ url: https://hooks.slack.com/services/your-own }]

otel:
#  endpoint: http://localhost:4318   # Where traces go, to a collector of OpenTelemetry. Without what calls say.

server:
#  port: 8080
#  allowed_hosts: []          # Further names that the server answers to, with port.

log:
#  level: info                # Or debug, warn, error.
#  retention_days: 7
`

/** Returns the path. Throws CageError `conflict` when there is a configuration file already. */
export function writeConfigFile(cwd: string): string {
  const there = CONFIG_FILES.find((name) => existsSync(join(cwd, name)))
  if (there) throw taken(there)
  const [name] = CONFIG_FILES
  try {
    writeFileSync(join(cwd, name), CONFIG_TEMPLATE, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(name)
    throw new CageError('invalid_config', `cannot write ${name}: ${(error as Error).message}`, {
      hint: 'change to a folder that you may write to',
      cause: error,
    })
  }
  return name
}

const taken = (name: string): CageError =>
  new CageError('conflict', `${name} exists already and was not changed`, {
    hint: 'see it with "iron-cage config show", or move it away',
  })
