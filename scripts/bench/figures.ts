/** The results of the parts of the benchmark, and the few sums they share. */
import { readFileSync } from 'node:fs'

/** A gateway to be measured; its pid is for memory and processor time. */
export interface Target {
  name: string
  pid: number
  /** Where a chat completion is asked for. */
  url: string
  headers: Record<string, string>
}

export interface Plan {
  /** All but the cage, whose address the load learns as an agent does. */
  targets: Target[]
  parts: string[]
  rounds: number
  /** So many calls through the cage in place of the parts. */
  memoryCalls?: number
}

/** The result of one part for one target in one round, by name, with milliseconds, megabytes or requests a second. */
export type Figures = Record<string, number>

/** Part, target, round. */
export type Results = Record<string, Record<string, Figures[]>>

export function quantile(values: number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN
}

export const median = (values: number[]): number => quantile(values, 0.5)

/** Resident memory, on Linux; NaN elsewhere and when the process has ended. */
export function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(processFile(pid, 'status'))?.[1] ?? Number.NaN) / 1024
}

/** The processor time of a process so far, or its main thread alone; NaN like above. */
export function cpuSeconds(pid: number, thread: 'all' | 'main' = 'all'): number {
  // Behind the name, which may hold spaces, user and system time are the 12th and 13th; in hundredths on every Linux.
  const stat = processFile(pid, thread === 'all' ? 'stat' : `task/${pid}/stat`)
  const fields = stat.split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function processFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}
