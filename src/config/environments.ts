/** Where agents run. The last one counts most: where several hold, what is said of it replaces what is said of the others. */
export const ENVIRONMENTS = ['development', 'staging', 'production'] as const
export type Environment = (typeof ENVIRONMENTS)[number]
