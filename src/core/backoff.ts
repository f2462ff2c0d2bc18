/** Waits that grow with each failure in a row. */
export interface BackoffPolicy {
  /** After the first failure, in ms. */
  firstMs: number
  /** (Default: no maximum.) */
  maxMs?: number
  /** How many times as long each further one is. (Default: 2.) */
  factor?: number
}

/** Returns the wait after so many failures in a row, in ms; none without a failure. */
export function backoffMs(
  failures: number,
  { firstMs, maxMs = Number.POSITIVE_INFINITY, factor = 2 }: BackoffPolicy,
): number {
  return failures <= 0 ? 0 : Math.min(maxMs, firstMs * factor ** (failures - 1))
}
