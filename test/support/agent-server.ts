/**
 * A server with agents, as a separate process that a test can kill: `agent-server.ts <database> <program>…`. Prints
 * every event as a line of JSON. With DIES_AT_WAIT_MS it kills itself when an agent begins to wait so long for its
 * restart: no other process is sure to be quick enough.
 */
import { openAgentServer } from './open-agent-server.ts'

const [databasePath, ...programs] = process.argv.slice(2)
const { supervisor, state } = await openAgentServer(databasePath!)
state.subscribe((event) => {
  console.log(JSON.stringify(event))
  const waitMs = event.type === 'agent.exited' ? event.data.restart_in_ms : null
  if (String(waitMs) === process.env.DIES_AT_WAIT_MS) process.kill(process.pid, 'SIGKILL')
})
for (const script of programs) await supervisor.start({ script, args: ['0'] })
