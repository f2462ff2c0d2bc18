/** Codex, asked from a script. It takes an address from its configuration alone. */
import { run } from './cells.mjs'
import { linesOf, output } from './command.mjs'

const PROVIDER = `{ name = "matrix", base_url = "${process.env.OPENAI_BASE_URL}", env_key = "OPENAI_API_KEY", wire_api = "responses" }`
const FLAGS = [
  ...['exec', '--skip-git-repo-check', '--ephemeral', '--sandbox', 'danger-full-access'],
  ...['-c', `model_providers.matrix=${PROVIDER}`, '-c', 'model_provider="matrix"'],
]
const codex = (prompt, model) => output('codex', ...FLAGS, '-m', model, prompt)

await run(['@openai/codex'], {
  ask: codex,
  async *stream(prompt, model) {
    for await (const line of linesOf('codex', ...FLAGS, '--json', '-m', model, prompt)) {
      const { item } = JSON.parse(line)
      if (item?.text) yield item.text
    }
  },
  tools: codex,
})
