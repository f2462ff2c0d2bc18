import type { StateManager } from '../state/state-manager.ts'

/** A panel that is back need not wait until its next attempt is due. Returns an unsubscribe function. */
export const whenBack = (state: Pick<StateManager, 'subscribe'>, part: { retry(): void }): (() => void) =>
  state.subscribe(({ type }) => {
    if (type === 'panel.connected') part.retry()
  })
