/** Texts of models that are not personal data. */
import type { Dice } from './dice.ts'
import { long, PLAIN, Raw, type Value, write } from './json.ts'

const WORDS = [
  ...['Hello', ' world', ', ', '. ', '\n\n', ' naïve', ' → ', '✓ ', '日本語', '🎉', ' "quoted"', ' back\\slash', '\t'],
  ...['# Plan\n', '- one\n', '- two\n', '| a | b |\n', '```python\nx = 1\n```\n', ' <b>bold</b> ', ' 3.14 ', ' 42 '],
  ...[' {"a": [1, null]} ', ' $x^2$ ', ' don’t', ' “so”', ' é', ' \u200d', ' data: [DONE] ', ' : comment', ' event: x'],
]

/** Programs and commands, in which neither an @ nor a number is personal. */
const CODE = [
  'y = W@x.to(device)\nloss = (y - t).pow(2).mean()\n',
  'grad = a@b.mean(dim=0)\n',
  'systemctl restart getty@tty1.service && journalctl -u getty@tty1.service',
  'ssh -i key.pem ec2-user@bastion.internal uptime',
  'rsync -a build/ deploy@web.internal:/srv/www',
  'git clone git@github.com:acme/site.git',
  'git commit -m "fix: retry\n\nCo-Authored-By: Claude <noreply@anthropic.com>"',
  "assert is_valid('user@example.com')\n",
  'curl -d email=test@shop.test http://localhost:3000/api/signup',
  '@app.route("/x")\nasync def handler(request): ...\n',
  'npm install react@18.2.0 @types/node@20',
  'SELECT id, name FROM orders WHERE id = 7 -- and no more',
  'for i in range(10):\n    print(f"{i:>3}")\n',
  'docker run nginx@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
]

export const text = (dice: Dice, mostWords = 8): string =>
  dice.times(dice.number(1, mostWords), () => dice.pick(WORDS)).join('')

/** The arguments of a tool: an object. */
export function toolInput(dice: Dice): { [name: string]: Value } {
  return {
    path: dice.pick(['src/a.py', 'README.md', '/etc/hosts']),
    content: dice.chance(0.7) ? dice.pick(CODE) : text(dice),
    ...(dice.chance(0.3) && { id: long(dice) }),
    ...(dice.chance(0.2) && { flags: [true, null, 0, new Raw('1.50'), new Raw('-0.0'), new Raw('1e3')] }),
    ...(dice.chance(0.2) && { nested: { deep: { ключ: text(dice, 2) } } }),
  }
}

/** As models write them: a text that is JSON. */
export const toolArguments = (dice: Dice): string => write(toolInput(dice), { ...PLAIN, gap: dice.pick(['', ' ']) })

/** Texts that only their maker can read, and clients have to send back word for word. */
export function sealed(dice: Dice): string {
  const bytes = Uint8Array.from(dice.times(dice.number(60, 700), () => dice.number(0, 255)))
  return Buffer.from(bytes).toString('base64')
}

/** Fields that no documentation names. */
export const unknownFields = (dice: Dice): { [name: string]: Value } => ({
  ...(dice.chance(0.2) && { x_of_tomorrow: { ü: null, list: [1, text(dice, 2)] } }),
  ...(dice.chance(0.2) && { trace: long(dice) }),
  ...(dice.chance(0.1) && { provider: 'House' }),
})
