import { demoCommand } from '../demo/script.ts'
import { runCli } from './cli/cli.ts'

// What we write holds an agent's data: it is for this user only.
process.umask(0o077)
// A closed pipe ends the program as it would end any other; `start` stops its agent first.
process.stdout.once('error', () => process.kill(process.pid, 'SIGTERM'))

process.exitCode = await runCli(process.argv.slice(2), [demoCommand])
