import { resolve } from 'node:path'
import { CageError } from '../../../core/errors.ts'
import { connect } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import { Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { json } from '../../output/print.ts'
import type { Terminal } from '../../output/terminal.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'

/** Longest inputs that are read from stdin, in bytes. */
const MAX_INPUT_BYTES = 10 * 1024 * 1024

export const callCommand: CliCommand = (terminal) =>
  command({
    command: 'call <name> [inputs]',
    describe: 'Call a deployed agent and print its output',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: 'The deployment' })
        .positional('inputs', { type: 'string', describe: 'Inputs as JSON (default: those on stdin)' })
        .example([
          ['# with inputs', ''],
          ['$0 deploy call agent \'{"question": "Is it open?"}\'', ''],
          ['$0 deploy call agent < inputs.json', 'with those of a file'],
        ]),
    handler: async ({ name, inputs: typed, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const deployment = deployments.require(name)
      const runner = runnerOf(deployment, deployments, connect(flags, terminal))
      const output = await runner.run(inputsOf(typed ?? (await readInput(terminal))))
      terminal.out(typeof output === 'string' ? output : json(output))
    },
  })

function inputsOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new CageError('usage', 'the inputs are not JSON', { hint: `quote them for the shell: '{"question": "…"}'` })
  }
}

async function readInput({ input, inputIsTerminal }: Terminal): Promise<string> {
  if (inputIsTerminal) throw new CageError('usage', 'the inputs are missing', { hint: 'iron-cage deploy call --help' })
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of input) {
    size += piece.length
    if (size > MAX_INPUT_BYTES) throw new CageError('usage', `the inputs have more than ${MAX_INPUT_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString()
}
