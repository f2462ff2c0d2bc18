import { changeCommand } from './change.ts'

export const resetCommand = changeCommand('reset', 'Close a circuit at once')
