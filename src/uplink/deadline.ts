/**
 * A moment on three clocks, of which the earliest counts: the monotonic one stands still while a machine sleeps, the wall
 * clock may be set back, and the time since the system's start is coarse.
 */
import { uptime } from 'node:os'
import type { Clock } from '../core/clock.ts'

export interface Deadline {
  monotonic: number
  wall: number
  uptime: number
}

/** Now: for a duration in an answer, it must be read before the question is sent. */
export const deadlineFrom = (clock: Clock): Deadline => ({
  monotonic: clock.monotonic(),
  wall: clock.now(),
  uptime: uptime() * 1000,
})

export const after = ({ monotonic, wall, uptime: up }: Deadline, ms: number): Deadline => ({
  monotonic: monotonic + ms,
  wall: wall + ms,
  uptime: up + ms,
})

export const hasPassed = (deadline: Deadline, clock: Clock): boolean =>
  clock.monotonic() >= deadline.monotonic || clock.now() >= deadline.wall || uptime() * 1000 >= deadline.uptime
