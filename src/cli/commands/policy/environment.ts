import { Option } from '@commander-js/extra-typings'
import { ENVIRONMENTS } from '../../../config/environments.ts'

export const environmentOption = () =>
  new Option('--env <name>', 'For the machines that may have the secrets of this environment only').choices(
    ENVIRONMENTS,
  )
