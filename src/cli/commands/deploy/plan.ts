import { relative } from 'node:path'
import { isChoosable, type Judgment, obstacles } from '../../../deploy/choice.ts'
import { describeAgent } from '../../../deploy/facts.ts'
import { type CliCommand, command } from '../../command.ts'
import { type Prepared, prepareDeployment, withStrategy } from '../../deploy/prepare-deployment.ts'
import { json, type TreeEntry, tree } from '../../output/print.ts'

export const planCommand: CliCommand = (terminal) =>
  command({
    command: 'plan <script>',
    describe: 'Show how an agent would be deployed, and why; writes and runs nothing',
    builder: (yargs) =>
      withStrategy(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 deploy plan agent.py', 'which strategy is chosen, and why'],
          ['$0 deploy plan agent.py --strategy docker', 'what another one would do'],
        ]),
    handler: async ({ script, json: asJson, ...flags }) => {
      const prepared = await prepareDeployment(script, flags, terminal)
      if (asJson) return terminal.out(json(planOf(prepared)))
      planLines(prepared, terminal.cwd).forEach(terminal.out)
    },
  })

const planOf = ({ name, agent, judgments, plan, adapted }: Prepared) => ({
  name,
  strategy: plan.strategy.name,
  agent: { ...agent, imports: [...agent.imports] },
  strategies: judgments.map(({ strategy, ...judgment }) => ({ name: strategy.name, ...judgment })),
  folder: plan.folder,
  files: [...plan.files.keys()],
  copied: plan.agentFiles,
  commands: [...plan.preparation, plan.command],
  adapted: adapted && { reason: adapted.reason, diff: adapted.diff },
})

/** The facts about the agent, the reasons for each strategy, and the steps of the chosen one. */
export function planLines({ name, agent, judgments, chosen, plan, adapted }: Prepared, cwd: string): string[] {
  const commands = [...plan.preparation, plan.command].map((words) => words.join(' '))
  const written = [...plan.files.keys(), ...plan.agentFiles.map((path) => `agent/${path}`)]
  return tree(`${name}, with ${chosen.strategy.name}`, [
    ...continued('Agent', describeAgent(agent)),
    ...continued('Strategies', judgments.map(verdict)),
    ['Because', adapted?.reason ?? null],
    ['Folder', relative(cwd, plan.folder)],
    ...continued('Writes', written),
    ...continued('Runs', commands),
  ]).concat(adapted?.diff ?? [])
}

function verdict(judgment: Judgment): string {
  const why = isChoosable(judgment) ? judgment.reasons : obstacles(judgment)
  return `${judgment.strategy.name}: ${why.join('; ') || 'possible'}`
}

const continued = (title: string, lines: readonly string[]): TreeEntry[] =>
  lines.map((line, index) => [index === 0 ? title : '', line])
