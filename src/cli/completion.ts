/** Scripts that let a shell complete our commands and flags; what there is, the program itself tells them. */
import type { Command } from './terminal.ts'

// Each names its shell, since the answer's form depends on it.
const SCRIPTS = {
  bash: `_iron_cage() {
  local words
  words=$(SHELL=bash iron-cage --get-yargs-completions "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _iron_cage iron-cage iron_cage`,
  zsh: `#compdef iron-cage iron_cage
_iron_cage() {
  local answers
  answers=("\${(@f)$(SHELL=zsh iron-cage --get-yargs-completions "\${words[@]}" 2>/dev/null)}")
  _describe 'iron-cage' answers || _files
}
compdef _iron_cage iron-cage iron_cage`,
  fish: `complete -c iron-cage -a '(SHELL=fish iron-cage --get-yargs-completions (commandline -opc) (commandline -ct) 2>/dev/null)'
complete -c iron_cage -w iron-cage`,
} as const

const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[]

export const completionCommand: Command = (yargs, terminal) =>
  yargs.command(
    'completion <shell>',
    'Write the script that lets your shell complete commands and flags',
    (command) =>
      command
        .positional('shell', { choices: SHELLS, demandOption: true, describe: 'Which shell' })
        .example('source <($0 completion bash)', 'in ~/.bashrc')
        .example('$0 completion zsh > ~/.zfunc/_iron-cage', 'in a folder of $fpath')
        .example('$0 completion fish > ~/.config/fish/completions/iron-cage.fish', ''),
    ({ shell }) => terminal.out(SCRIPTS[shell]),
  )
