/** The body of a request, parsed on this thread or, when large, processed by another thread. */
import { countTokens } from '../../budget/tokenizer.ts'
import { withoutImages } from '../../dialects/demands.ts'
import type { Dialect, Format, Limits } from '../../dialects/dialect.ts'
import type { DialectName } from '../../dialects/dialects.ts'
import { isUnambiguous, type JsonObject, parseBody } from '../../dialects/json.ts'
import { decoded } from '../../dialects/large-json.ts'
import type { RedactorSettings } from '../../redaction/redactor.ts'
import type { Finding } from '../../redaction/text/match.ts'
import { type CallFacts, type ModelNaming, readFacts } from '../call-facts.ts'
import type { CallRedactor } from '../redaction/call-redactor.ts'
import { parseTextWithoutTokens } from '../redaction/own-tokens.ts'
import { mayHoldSealed, type SealedOriginals } from '../redaction/sealed-originals.ts'
import { free, LARGE_BYTES } from './bytes.ts'
import type { LargeBodies, WorkFor } from './large-bodies.ts'
import type { FormatName, LargeWork } from './large-work.ts'

export type MaybePromise<T> = T | Promise<T>

export interface RequestBody {
  /** Returns the same body for another model, with its facts for that model. */
  withModel(format: Format, model: string): MaybePromise<CallFacts & { body: RequestBody }>
  /** Returns the body redacted by the policy. */
  redacted(redactor: CallRedactor, dialect: Dialect, settings: RedactorSettings): MaybePromise<RequestBody>
  /**
   * Returns the body to send; with a format, the limits are written into it. (Default: no limits.) Free it with
   * `freeSent`: a small one may be returned again.
   */
  write(format?: Format, limits?: Limits): MaybePromise<string | Buffer>
  /** Returns the text to count tokens of; null if there is no exact count. */
  text(format: Format): (() => MaybePromise<string>) | null
  /** Returns the body as JSON: approximately the size sent. */
  json(): string
  /** Counts the tokens of the whole body; undefined if that would take too long. */
  tokens(model: string): Promise<number | undefined>
  /** Releases the memory. */
  free(): void
}

/** A request that was read: its body, its facts if a format was given, and which of our own tokens were in it. */
export interface ReadRequest {
  body: RequestBody
  facts: CallFacts | undefined
  findings: Finding[]
}

/** Throws CageError `bad_request`, `price_unknown`, and for a large body `body_too_large`. */
export async function readRequest(
  large: LargeBodies,
  bytes: Buffer,
  {
    dialect,
    format,
    naming,
    originals,
    ...work
  }: WorkFor & {
    dialect: Dialect
    format: Format | undefined
    naming: ModelNaming
    originals: SealedOriginals
  },
): Promise<ReadRequest> {
  if (bytes.length < LARGE_BYTES) {
    const text = bytes.toString('utf8')
    const { value, safe, findings } = parseTextWithoutTokens(bytes, text, parseBody)
    const sealed = mayHoldSealed(text) ? originals : undefined
    const isSent = safe === undefined && !sealed && isUnambiguous(bytes, text, value)
    const body = new ParsedBody(value, { sealed, bytes: isSent ? bytes : undefined })
    return { body, facts: format && readFacts(format, value, naming), findings }
  }
  const named = format && { dialect: dialect.name as DialectName, format: format.name }
  const read = await large.run('readRequest', { bytes, model: undefined, format: named, naming }, work)
  return { ...read, body: new LargeBody({ large, dialect, work, originals }, read.bytes, undefined) }
}

/** The model that a fallback names is the one that answers. */
const AS_NAMED: ModelNaming = { named: undefined, models: {} }

class ParsedBody implements RequestBody {
  readonly #value: JsonObject
  /** Restores sealed values of earlier replies, if there may be any. */
  readonly #sealed: SealedOriginals | undefined
  /** The bytes it was read from, if they may be sent as they are. */
  readonly #bytes: Buffer | undefined

  constructor(
    value: JsonObject,
    { sealed, bytes }: { sealed: SealedOriginals | undefined; bytes?: Buffer | undefined },
  ) {
    this.#value = value
    this.#sealed = sealed
    this.#bytes = bytes
  }

  withModel(format: Format, model: string): CallFacts & { body: RequestBody } {
    const value = { ...this.#value, model }
    return { ...readFacts(format, value, AS_NAMED), body: new ParsedBody(value, { sealed: this.#sealed }) }
  }

  redacted(redactor: CallRedactor, dialect: Dialect): RequestBody {
    const safe = redactor.request(this.#value, dialect)
    return safe === this.#value ? this : new ParsedBody(safe, { sealed: this.#sealed })
  }

  write(format?: Format, limits?: Limits): string | Buffer {
    const body = this.#sealed?.restore(this.#value) ?? this.#value
    const sent = format && limits ? format.prepare(body, limits) : body
    const added = this.#bytes && addedFields(this.#value, sent)
    return added ? withFields(this.#bytes!, added) : JSON.stringify(sent)
  }

  text(format: Format): (() => string) | null {
    return format.textOf ? () => format.textOf!(this.#value) : null
  }

  json(): string {
    return JSON.stringify(this.#value)
  }

  tokens(model: string): Promise<number> {
    return countTokens(withoutImages(this.#value), model)
  }

  free(): void {}
}

/** Returns the fields that `prepare` added to a body, as JSON; undefined if it changed one that was there. */
function addedFields(body: JsonObject, prepared: JsonObject): string[] | undefined {
  const added: string[] = []
  for (const name in prepared) {
    const [field, before] = [prepared[name], body[name]]
    if (field === before) continue
    const json = JSON.stringify(field)
    if (before === undefined) added.push(`,${JSON.stringify(name)}:${json}`)
    else if (json !== JSON.stringify(before)) return undefined
  }
  return added
}

/** Returns the bytes of an object, which is not empty, with more fields at its end. */
function withFields(bytes: Buffer, fields: readonly string[]): Buffer {
  if (fields.length === 0) return bytes
  return Buffer.concat([bytes.subarray(0, bytes.lastIndexOf('}')), Buffer.from(`${fields.join('')}}`)])
}

/** The parts of a large request that do not depend on its bytes. */
interface LargeRequest {
  large: LargeBodies
  dialect: Dialect
  work: WorkFor
  originals: SealedOriginals
}

/** The bytes move to a thread and back with each piece of work; only one side has them at a time. */
class LargeBody implements RequestBody {
  readonly #for: LargeRequest
  readonly #model: string | undefined
  #bytes: Buffer

  constructor(request: LargeRequest, bytes: Buffer, model: string | undefined) {
    this.#for = request
    this.#bytes = bytes
    this.#model = model
  }

  async withModel(format: Format, model: string): Promise<CallFacts & { body: RequestBody }> {
    const args = { ...this.#of(model), format: this.#name(format), naming: AS_NAMED }
    const { bytes, facts } = await this.#run('readRequest', args)
    return { ...facts!, body: new LargeBody(this.#for, bytes, model) }
  }

  async redacted(redactor: CallRedactor, { name }: Dialect, settings: RedactorSettings): Promise<RequestBody> {
    const args = { bytes: this.#bytes, dialect: name as DialectName, settings, sealKey: this.#for.originals.key }
    const { bytes, found } = await this.#run('redactRequest', args)
    await redactor.findings.take(found)
    this.#bytes = bytes
    return this
  }

  async write(format?: Format, limits?: Limits): Promise<Buffer> {
    const into = format && limits && { format: this.#name(format), limits }
    const { bytes, written } = await this.#run('writeRequest', {
      ...this.#of(this.#model),
      into,
      sealKey: this.#for.originals.key,
    })
    this.#bytes = bytes
    return written
  }

  text(format: Format): (() => Promise<string>) | null {
    if (!format.textOf) return null
    return async () => {
      const args = { ...this.#of(this.#model), format: this.#name(format) }
      const { bytes, text } = await this.#run('textOf', args)
      this.#bytes = bytes
      return text
    }
  }

  json(): string {
    return decoded(this.#bytes)
  }

  tokens(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  free(): void {
    free(this.#bytes)
  }

  #run<Name extends keyof LargeWork>(name: Name, args: Parameters<LargeWork[Name]>[0]) {
    return this.#for.large.run(name, args, this.#for.work)
  }

  #of(model: string | undefined) {
    return { bytes: this.#bytes, model }
  }

  #name(format: Format): FormatName {
    return { dialect: this.#for.dialect.name as DialectName, format: format.name }
  }
}
