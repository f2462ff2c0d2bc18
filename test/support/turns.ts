/** How often the event loop gave others their turn while `work` was done. */
export async function turnsDuring<T>(work: () => Promise<T>): Promise<{ turns: number; result: T }> {
  let turns = 0
  let isDone = false
  const tick = () => {
    turns += 1
    if (!isDone) setImmediate(tick)
  }
  setImmediate(tick)
  const result = await work()
  isDone = true
  return { turns, result }
}
