/** Which sandboxes this machine can build, as its launcher found out by trying. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as z from 'zod'
import { launching, outside } from './cage.ts'

export const CONTROLLER = z.enum(['cpu', 'memory', 'pids'])
const WHY_NOT = z.string().nullable()
const EXPLANATION = z.object({
  landlock_abi: z.number().int(),
  /** Null where it is supported, else why not. */
  levels: z.object({ observe: WHY_NOT, standard: WHY_NOT, strict: WHY_NOT }),
  /** The same for hiding files inside a granted folder. */
  hide: WHY_NOT,
  /** The limits for all processes of an agent together. */
  groups: z.array(CONTROLLER),
  fix: z.string().nullable(),
})
export type Explanation = z.output<typeof EXPLANATION>

/** `python`: one that may run outside a sandbox. Throws when it cannot be run. */
export async function explainMachine(python: string, environment: Record<string, string>): Promise<Explanation> {
  const { env } = outside(environment)
  const { stdout } = await promisify(execFile)(python, [...launching(), '--explain', '--json'], { env })
  return EXPLANATION.parse(JSON.parse(stdout))
}
