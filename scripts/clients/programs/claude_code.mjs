/** Claude Code, asked from a script. */
import { run } from './cells.mjs'
import { linesOf, output } from './command.mjs'

const claude = (prompt, model, ...more) => output('claude', '-p', prompt, '--model', model, ...more)

await run(['@anthropic-ai/claude-code'], {
  ask: claude,
  async *stream(prompt, model) {
    const flags = ['--output-format', 'stream-json', '--include-partial-messages', '--verbose']
    for await (const line of linesOf('claude', '-p', prompt, '--model', model, ...flags)) {
      const { event } = JSON.parse(line)
      if (event?.delta?.text) yield event.delta.text
    }
  },
  tools: (prompt, model) => claude(prompt, model, '--allowedTools', 'Bash(echo:*)'),
})
