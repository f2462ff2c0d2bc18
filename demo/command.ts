import { type CliCommand, command } from '../src/cli/command.ts'
import { DATABASE, DEFAULT_PACE } from './flags.ts'

export const demoCommand: CliCommand = (terminal) =>
  command({
    command: 'demo',
    describe: 'Watch an agent work through 100 leads, offline and without any key',
    builder: (yargs) =>
      yargs
        .option('pace', { type: 'string', requiresArg: true, describe: 'Leads an hour, or max', default: DEFAULT_PACE })
        .option('budget', { type: 'string', requiresArg: true, describe: 'Hard limit in US dollars', default: '50' })
        .option('port', { type: 'string', requiresArg: true, describe: 'Port to listen on (default: 8080)' })
        .option('db', { type: 'string', requiresArg: true, describe: `Database file (default: ${DATABASE})` })
        .option('once', { type: 'boolean', describe: 'Exit when the agent has ended' })
        .option('check', {
          type: 'boolean',
          describe: 'Rehearse at full speed: each checkpoint with ✔ or ✖; exits 1 on any ✖',
        })
        .option('fail', {
          type: 'string',
          requiresArg: true,
          describe: 'What goes wrong at which lead: linkedin, email, phone or field, as lead=40:linkedin',
        })
        .option('recovery', {
          type: 'boolean',
          describe: 'LinkedIn comes back: its circuit opens, half opens for one call, and closes',
        })
        .option('open', { type: 'boolean', describe: 'Open the dashboard in a browser' })
        .example([
          ['$0 demo', 'a hundred seconds, then the dashboard stays'],
          ['$0 demo --recovery', 'the same, but LinkedIn is back about ten leads later'],
          ['# LinkedIn goes down at lead 40', ''],
          ['$0 demo --fail lead=40:linkedin,lead=70:phone', ''],
          ['$0 demo --pace max --once', 'as fast as it goes'],
        ]),
    handler: async ({ ...flags }) => (await import('./script.ts')).runDemo(flags, terminal),
  })
