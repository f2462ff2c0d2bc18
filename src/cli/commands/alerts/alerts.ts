import { type CliCommand, group } from '../../command.ts'
import { listAlertsCommand } from './list.ts'
import { resendCommand } from './resend.ts'
import { testCommand } from './test.ts'

export const alertsCommand: CliCommand = (terminal, line) =>
  group(
    'alerts',
    'List alerts, test their delivery, send one again',
    [listAlertsCommand, testCommand, resendCommand],
    terminal,
    line,
  )
