/** The API token with a shared budget of its own: what its callers spend is counted apart. */
export const SOAK_TOKEN = 'nightly'
