/** The distribution of values in bounded memory. Plain JSON, free of Node. */

/** Counts per bucket; bucket i holds values v with floor(log(v) / log(1.05)) = i, so a percentile is right to ±2.5 %. */
export type Histogram = Record<string, number>

const BUCKET_BASE = Math.log(1.05)

/** Returns the histogram with one more value. */
export function observe(histogram: Histogram, value: number): Histogram {
  const bucket = Math.floor(Math.log(Math.max(1, value)) / BUCKET_BASE)
  return { ...histogram, [bucket]: (histogram[bucket] ?? 0) + 1 }
}

/** The value below which `share` (0–1) of the observations lie; null without observations. */
export function percentile(histogram: Histogram, share: number): number | null {
  const buckets = Object.entries(histogram)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort((a, b) => a[0] - b[0])
  const total = buckets.reduce((sum, [, count]) => sum + count, 0)
  let left = Math.ceil(total * share)
  for (const [bucket, count] of buckets) {
    left -= count
    if (left <= 0) return Math.exp((bucket + 0.5) * BUCKET_BASE)
  }
  return null
}
