import { changeCommand } from './change.ts'

export const openCommand = changeCommand('open', 'Open a circuit until it is reset; nothing is sent meanwhile')
