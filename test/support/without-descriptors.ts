/**
 * A server that runs out of descriptors: `without-descriptors.ts <database> <program that ends after a while>`, to be
 * started with a low limit. Prints what became of the agent that runs already, and of one that is started meanwhile.
 */
import { closeSync, openSync } from 'node:fs'
import { openAgentServer } from './open-agent-server.ts'

const [databasePath, script = '', innocent = ''] = process.argv.slice(2)
const { supervisor, state, close } = await openAgentServer(databasePath!)
const failed = Promise.withResolvers<void>()
const again = Promise.withResolvers<void>()
state.subscribe((event) => {
  if (event.type === 'agent.exited' && event.data.reason.startsWith('could not be started')) failed.resolve()
  if (event.type === 'agent.started' && event.data.restart > 0) again.resolve()
})
const other = await supervisor.start({ script: innocent })
const { agentId } = await supervisor.start({ script, args: ['0.5'] })
const taken: number[] = []
/** All but two: enough to look at processes, and not to start one. */
const takeAll = () => {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    for (const descriptor of taken.splice(-2)) closeSync(descriptor)
  }
}
takeAll()
const refused = await supervisor.start({ script }).catch(({ code, message }) => ({ code, message }))
// Its end frees some.
const keepTaking = setInterval(takeAll, 5)
await failed.promise
clearInterval(keepTaking)
for (const descriptor of taken) closeSync(descriptor)
await again.promise
const states = supervisor.list().map(({ state }) => state)
console.log(JSON.stringify({ refused, agentId, other, states }))
await close('the test has ended')
