/**
 * The policy in force and its redactors: one for texts that agents receive, one for stored and shown texts. Opened
 * before anything else, so that no log line and no event is ever without it; incidents (`incidents.ts`) are part of the
 * state, which is scrubbed by it.
 */
import { randomBytes } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import { failClosed, type Scrub } from '../state/clean.ts'
import type { KnownSecret } from './known/known-values.ts'
import { isOrdinaryValue } from './known/ordinary-value.ts'
import { forLogs, type Policy, policyOf, SECRETS_ONLY } from './policy.ts'
import { Redactor } from './redactor.ts'
import type { Finding } from './text/match.ts'

type Settings = Config['safety']

/** Longer words and numbers may be the beginning of a name, a key or a phone number. */
const SHORT_WORD = 3
const FEW_DIGITS = 3

const isHarmless = (text: string): boolean =>
  text.split(/[^\p{L}\p{N}\p{M}@._-]+/u).every((word) => word.length <= SHORT_WORD) &&
  text.replace(/\P{N}/gu, '').length <= FEW_DIGITS

export class Safety {
  /** For texts that agents receive and send. */
  readonly replies: Redactor
  /** For stored and shown texts: redacts everything detected. */
  readonly logs: Redactor
  /** Redacts one text like `logs`; if that fails, the text is withheld. */
  readonly scrub: Scrub
  /** For agents' actions: redacts everything detected, or only secrets if logs are outside the policy's scope. */
  readonly scrubEvent: Scrub
  readonly #secretsAlone = new Redactor(SECRETS_ONLY)
  readonly #everySecret = new Redactor({ ...SECRETS_ONLY, detect: ['secret'] })
  readonly #ownSecrets: readonly string[]
  /** Of shaped placeholders; they are stable while the server runs. */
  readonly #placeholderKey = randomBytes(32).toString('base64')
  #settings: Settings

  /** `ownSecrets`: the server's own secrets without a recognizable form. (Default: none.) */
  constructor(settings: Settings, ownSecrets: readonly string[] = []) {
    this.#settings = settings
    this.#ownSecrets = ownSecrets.filter((secret) => secret !== '')
    this.replies = new Redactor(this.#policyOf(settings))
    this.logs = new Redactor(forLogs(this.#policyOf(settings)))
    this.scrub = failClosed((text) => this.logs.clean(text))
    this.scrubEvent = (text) => this.redactEvent(text).text
    this.know([])
  }

  /** The action for types without a separate mode. */
  get mode(): Settings['mode'] {
    return this.#settings.mode
  }

  /** The types to detect. */
  get detect(): Settings['detect'] {
    return this.#settings.detect
  }

  /** Redacts secrets alone, those with a known form and known values, under every policy. */
  readonly withoutSecrets: Scrub = (text) => this.#everySecret.clean(text)

  /** Like `scrubEvent`, with the findings. */
  redactEvent(text: string): { text: string; findings: Finding[] } {
    return this.#forEvents.redact(text)
  }

  /** Like `scrubEvent`, for a text that goes on: leaves out an end in which a finding may have begun. */
  redactBeginning(text: string): string {
    const stream = this.#forEvents.stream()
    const certain = stream.push(text)
    return isHarmless(stream.heldBack) ? certain + stream.heldBack : certain
  }

  get #forEvents(): Redactor {
    return this.replies.covers('logs') ? this.logs : this.#secretsAlone
  }

  /** Replaces the values that are secret in addition to the server's own. */
  know(secrets: readonly KnownSecret[]): void {
    const all = [...this.#ownSecrets.map((value) => ({ value })), ...secrets]
    for (const each of [this.replies, this.logs, this.#secretsAlone, this.#everySecret]) each.know(all)
  }

  /** Our own secrets are never stored for review, not even for an admin. Every text has a short one somewhere. */
  isOwnSecret(value: string): boolean {
    return (
      holdsOwnToken(value) ||
      this.#ownSecrets.some((own) => (isOrdinaryValue(own) ? value === own : value.includes(own)))
    )
  }

  /** Changes the policy; a reply in progress keeps the old one. */
  apply(settings: Settings): void {
    this.#settings = settings
    this.replies.follow(this.#policyOf(settings))
    this.logs.follow(forLogs(this.#policyOf(settings)))
  }

  #policyOf(settings: Settings): Policy {
    return policyOf(settings, this.#placeholderKey)
  }
}
