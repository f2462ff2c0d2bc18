import { type CliCommand, group } from '../../command.ts'
import { callCommand } from './call.ts'
import { downCommand } from './down.ts'
import { deploymentLogsCommand } from './logs.ts'
import { planCommand } from './plan.ts'
import { deploymentStatusCommand } from './status.ts'
import { upCommand } from './up.ts'

export const deployCommand: CliCommand = (terminal, line) =>
  group(
    'deploy',
    'Deploy an agent with its cage, so that programs can call it over HTTP',
    [planCommand, upCommand, deploymentStatusCommand, deploymentLogsCommand, callCommand, downCommand],
    terminal,
    line,
  )
