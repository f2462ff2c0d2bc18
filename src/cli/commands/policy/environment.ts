import { ENVIRONMENTS } from '../../../config/environments.ts'

export const ENVIRONMENT_FLAG = {
  requiresArg: true,
  choices: ENVIRONMENTS,
  describe: 'For the machines that may have the secrets of this environment only',
} as const
