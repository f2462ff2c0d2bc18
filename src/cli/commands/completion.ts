/** The scripts that let a shell complete commands and flags; each asks the program itself (`completions.ts`). */
import { type CliCommand, command } from '../command.ts'

const SCRIPTS = {
  bash: `_iron_cage() {
  local words
  words=$(SHELL=bash iron-cage complete bash "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _iron_cage iron-cage iron_cage`,
  zsh: `#compdef iron-cage iron_cage
_iron_cage() {
  local answers
  answers=("\${(@f)$(SHELL=zsh iron-cage complete zsh "\${words[@]}" 2>/dev/null)}")
  _describe 'iron-cage' answers || _files
}
compdef _iron_cage iron-cage iron_cage`,
  fish: `complete -c iron-cage -a '(SHELL=fish iron-cage complete fish (commandline -opc) (commandline -ct) 2>/dev/null)'
complete -c iron_cage -w iron-cage`,
} as const

const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[]

export const completionCommand: CliCommand = (terminal) =>
  command({
    command: 'completion <shell>',
    describe: 'Print the script that lets your shell complete commands and flags',
    builder: (yargs) =>
      yargs
        .positional('shell', { type: 'string', demandOption: true, describe: 'Which shell', choices: SHELLS })
        .example([
          ['$0 completion bash >> ~/.bashrc', 'for every new shell'],
          ['$0 completion zsh > ~/.zfunc/_iron-cage', 'in a folder of $fpath'],
          ['$0 completion fish > ~/.config/fish/completions/iron-cage.fish', ''],
        ]),
    handler: ({ shell }) => terminal.out(SCRIPTS[shell]),
  })
