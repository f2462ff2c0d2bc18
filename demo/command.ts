import { Command } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../src/cli/command.ts'
import { DATABASE, DEFAULT_PACE } from './flags.ts'

export const demoCommand: CliCommand = (terminal) =>
  new Command('demo')
    .description('Watch an agent work through 100 leads, offline and without any key')
    .option('--pace <leads>', 'Leads an hour, or max', DEFAULT_PACE)
    .option('--budget <usd>', 'Hard limit in US dollars', '50')
    .option('--port <port>', 'Port to listen on (default: 8080)')
    .option('--db <file>', `Database file (default: ${DATABASE})`)
    .option('--once', 'Exit when the agent has ended')
    .option('--check', 'Rehearse at full speed: each checkpoint with ✔ or ✖; exits 1 on any ✖')
    .option('--fail <where>', 'What goes wrong at which lead: linkedin, email, phone or field, as lead=40:linkedin')
    .option('--recovery', 'LinkedIn comes back: its circuit opens, half opens for one call, and closes')
    .option('--open', 'Open the dashboard in a browser')
    .addHelpText(
      'after',
      examples(
        ['demo', 'a hundred seconds, then the dashboard stays'],
        ['demo --recovery', 'the same, but LinkedIn is back about ten leads later'],
        ['demo --fail lead=40:linkedin,lead=70:phone', 'LinkedIn goes down at lead 40'],
        ['demo --pace max --once', 'as fast as it goes'],
      ),
    )
    .action(async (flags) => (await import('./script.ts')).runDemo(flags, terminal))
