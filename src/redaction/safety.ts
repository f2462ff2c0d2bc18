/**
 * The policy in force, and what it is enforced with: one redactor for what agents are answered, one for all that is written
 * and shown. Opened before anything else, so that no log line and no event is ever without it; incidents
 * (`incidents.ts`) are kept with the state, which is scrubbed by it.
 */
import type { Config } from '../config/schema.ts'
import { failClosed, type Scrub } from '../state/clean.ts'
import { holdsOwnToken } from '../tokens.ts'
import type { Finding } from './match.ts'
import { forLogs, policyOf, SECRETS_ONLY } from './policy.ts'
import { Redactor } from './redactor.ts'

type Settings = Config['safety']

export class Safety {
  /** For what agents are answered, and send. */
  readonly replies: Redactor
  /** For what is written and shown: takes out everything that is detected. */
  readonly logs: Redactor
  /** The same for one text; what cannot be looked at is withheld. */
  readonly scrub: Scrub
  /** For what agents do: everything that is detected, or secrets alone where logs are not in the policy's scope. */
  readonly scrubEvent: Scrub
  readonly #secretsAlone = new Redactor(SECRETS_ONLY)
  readonly #ownSecrets: readonly string[]
  #settings: Settings

  /** `ownSecrets`: those of the server itself that have no form of their own. (Default: none.) */
  constructor(settings: Settings, ownSecrets: readonly string[] = []) {
    this.#settings = settings
    this.#ownSecrets = ownSecrets
    this.replies = new Redactor(policyOf(settings))
    this.logs = new Redactor(forLogs(policyOf(settings)))
    this.scrub = failClosed((text) => this.logs.clean(text))
    this.scrubEvent = (text) => this.redactEvent(text).text
    this.know([])
  }

  /** What happens to findings of types that have no mode of their own. */
  get mode(): Settings['mode'] {
    return this.#settings.mode
  }

  /** The types that are looked for. */
  get detect(): Settings['detect'] {
    return this.#settings.detect
  }

  /** As `scrubEvent`, with what was found. */
  redactEvent(text: string): { text: string; findings: Finding[] } {
    return (this.replies.covers('logs') ? this.logs : this.#secretsAlone).redact(text)
  }

  /** Values that are secret from now on, beside the server's own, in place of those given before. */
  know(secrets: readonly string[]): void {
    for (const each of [this.replies, this.logs, this.#secretsAlone]) each.know([...this.#ownSecrets, ...secrets])
  }

  /** Secrets of our own are nobody's to look at later, not even an admin's. */
  isOwnSecret(value: string): boolean {
    return holdsOwnToken(value) || this.#ownSecrets.some((own) => value.includes(own))
  }

  /** Follows another policy from now on; an answer that has begun ends as it began. */
  apply(settings: Settings): void {
    this.#settings = settings
    this.replies.follow(policyOf(settings))
    this.logs.follow(forLogs(policyOf(settings)))
  }
}
