/** Running calls of clients without supervision, by token: revoking a token ends its calls. */
import type { ApiTokens } from '../access/api-tokens.ts'
import type { ClientConnection } from './provider/client.ts'

export class TokenCalls {
  /** By token id. */
  readonly #running = new Map<string, Set<ClientConnection>>()

  constructor(apiTokens: ApiTokens) {
    apiTokens.onRevoked((id) => {
      for (const client of this.#running.get(id) ?? []) client.hangUp()
    })
  }

  /** Tracks a call until its client is answered or gone. */
  add(tokenId: string, client: ClientConnection): void {
    const clients = this.#running.get(tokenId) ?? new Set()
    this.#running.set(tokenId, clients.add(client))
    client.onceClosed(() => {
      clients.delete(client)
      if (clients.size === 0) this.#running.delete(tokenId)
    })
  }
}
