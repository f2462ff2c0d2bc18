/**
 * Measures what each file of tests takes of the processor, for the list at the end of a run (slowest.ts). Where several
 * processes share a few cores, the time of a file depends on the others.
 */
import { existsSync, readFileSync } from 'node:fs'
import { afterAll } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** Seconds of the processor: of the process that ran the file, and of those it started and that have ended. */
    processorSeconds?: number
  }
}

const STAT = '/proc/self/stat'
/** Of the kernel's clock, the same on every Linux. */
const TICKS_PER_SECOND = 100

function processorSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000_000 + childrenSeconds()
}

/** 0 where the system is no Linux: Node reports this process alone. */
function childrenSeconds(): number {
  if (!existsSync(STAT)) return 0
  // The program's name, which may hold anything, ends with the last bracket.
  const fields = readFileSync(STAT, 'utf8').split(') ').at(-1)!.split(' ')
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND
}

// Loaded before each file, so the sources that it loads first are its own; the first hook is the last to run.
const before = processorSeconds()
// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures are wanted.
afterAll(({}, file) => {
  file.meta.processorSeconds = processorSeconds() - before
})
