/** Explores every state that can be reached from one, breadth first. States are plain JSON. */

export interface Exploration {
  states: number
  /** The shortest way to a violation, and the violated rule. */
  violation: { steps: string[]; problem: string } | undefined
  /** States from which no good one can be reached any more; only counted with `isGood`. */
  stuck: number
}

export interface Exploring<State> {
  start: State
  /** Calls `emit` with each step that is possible, and the state after it. `state` may be changed: each call has its own. */
  next(read: () => State, emit: (step: string, state: State) => void): void
  /** Returns the fault of a state. */
  problem(state: State): string | undefined
  /** States that must stay within reach. */
  isGood?(state: State): boolean
}

export function explore<State>({ start, next, problem, isGood }: Exploring<State>): Exploration {
  const first = JSON.stringify(start)
  const numbers = new Map([[first, 0]])
  const texts = [first]
  const steps: { from: number; step: string }[] = [{ from: -1, step: '' }]
  const before: number[][] = [[]]
  for (let at = 0; at < texts.length; at++) {
    let found: Exploration['violation']
    next(
      () => JSON.parse(texts[at]!) as State,
      (step, state) => {
        const text = JSON.stringify(state)
        const known = numbers.get(text)
        if (known !== undefined) return void (isGood && before[known]!.push(at))
        numbers.set(text, texts.length)
        steps.push({ from: at, step })
        before.push([at])
        texts.push(text)
        const wrong = problem(state)
        if (wrong !== undefined) found ??= { problem: wrong, steps: pathTo(steps, texts.length - 1) }
      },
    )
    if (found) return { states: texts.length, violation: found, stuck: 0 }
  }
  const stuck = isGood
    ? countStuck(
        texts.map((text) => isGood(JSON.parse(text) as State)),
        before,
      )
    : 0
  return { states: texts.length, violation: undefined, stuck }
}

function pathTo(steps: readonly { from: number; step: string }[], end: number): string[] {
  const path: string[] = []
  for (let at = end; at > 0; at = steps[at]!.from) path.unshift(steps[at]!.step)
  return path
}

function countStuck(reaches: boolean[], before: readonly (readonly number[])[]): number {
  const open = reaches.flatMap((good, number) => (good ? [number] : []))
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const from of before[at]!) {
      if (reaches[from]) continue
      reaches[from] = true
      open.push(from)
    }
  }
  return reaches.filter((reaches) => !reaches).length
}
