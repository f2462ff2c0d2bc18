import { stream } from 'hono/streaming'
import { runBooth } from '../booth/booth.ts'
import { CageError } from '../core/errors.ts'
import { type Route, routesOf } from '../http/route.ts'
import type { Deps } from './deps.ts'

export const boothRoutes = ({ clock }: Pick<Deps, 'clock'>): Route[] => {
  let isRunning = false
  return [
    routesOf('Server')('POST /api/booth', {
      role: 'admin',
      action: 'booth.run',
      summary:
        'Keeps four promises on a second server with a simulated provider, and reports each finding as a line of JSON.',
      reply: null,
      types: ['application/jsonl'],
      errors: ['conflict'],
      handle: ({ context }) => {
        if (isRunning) throw new CageError('conflict', 'the booth is running already', { hint: 'wait for its end' })
        isRunning = true
        context.header('content-type', 'application/jsonl')
        return stream(context, async (out) => {
          try {
            for await (const step of runBooth(clock)) await out.write(`${JSON.stringify(step)}\n`)
          } catch (error) {
            await out.write(`${JSON.stringify({ step: 'failed', problem: (error as Error).message })}\n`)
          } finally {
            isRunning = false
          }
        })
      },
    }),
  ]
}
