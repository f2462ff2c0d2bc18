/** The API token with its own shared budget: what its callers spend is counted apart. */
export const SOAK_TOKEN = 'nightly'
