/**
 * A server with agents, as a process of its own that a test can kill: `agent-server.ts <database> <program>…`.
 * Prints every event as a line of JSON.
 */
import { agentParts } from './agent-parts.ts'

const [databasePath, ...programs] = process.argv.slice(2)
const { supervisor, state } = agentParts({ databasePath: databasePath! })
state.subscribe((event) => console.log(JSON.stringify(event)))
for (const script of programs) await supervisor.start({ script, args: ['0'] })
