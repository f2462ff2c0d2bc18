/** Where agents run. The last one counts most: where several hold, its settings replace those of the others. */
export const ENVIRONMENTS = ['development', 'staging', 'production'] as const
export type Environment = (typeof ENVIRONMENTS)[number]
