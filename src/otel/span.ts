/** A span and its attributes as OpenTelemetry has them (opentelemetry-proto 1.x). */

/** Whole numbers and amounts have types of their own: a cost of exactly $1 must not become an integer. */
export type AttributeValue = string | boolean | { int: number } | { double: number }
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>

export interface Span {
  /** 16 bytes. */
  traceId: Uint8Array
  /** 8 bytes. */
  id: Uint8Array
  /** 8 bytes; undefined for a root. */
  parentId: Uint8Array | undefined
  name: string
  kind: 'internal' | 'client'
  /** Milliseconds since 1970, like `endMs`. */
  startMs: number
  endMs: number
  attributes: Attributes
  /** Why it failed; undefined if it did not. */
  error: string | undefined
}

export const int = (value: number | null | undefined): AttributeValue | undefined =>
  value === null || value === undefined ? undefined : { int: value }

export const double = (value: number): AttributeValue => ({ double: value })
