// Writes src/budget/output-limits.json: the most tokens each model answers with, by LiteLLM's public list (PyPI
// litellm, MIT), and by the vendors' pages for models that are no longer in it. node scripts/output-limits.mjs
// <site-packages of an environment with litellm>
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = process.argv[2] ?? '.venv-test-litellm/lib/python3.11/site-packages'
const list = JSON.parse(readFileSync(join(folder, 'litellm/model_prices_and_context_window_backup.json'), 'utf8'))
const version = readdirSync(folder)
  .find((name) => /^litellm-[\d.]+\.dist-info$/.test(name))
  .slice('litellm-'.length, -'.dist-info'.length)

/** Names of providers: theirs and the price list's. */
const PROVIDERS = {
  openai: 'openai',
  'text-completion-openai': 'openai',
  anthropic: 'anthropic',
  gemini: 'google',
  'vertex_ai-language-models': 'google',
  groq: 'groq',
  mistral: 'mistral',
  deepseek: 'deepseek',
  xai: 'x-ai',
  cohere: 'cohere',
  cohere_chat: 'cohere',
  perplexity: 'perplexity',
  moonshot: 'moonshotai',
  cerebras: 'cerebras',
  novita: 'novita',
  ovhcloud: 'ovhcloud',
  together_ai: 'together',
  azure: 'azure',
}

/** platform.openai.com/docs/models and docs.anthropic.com/en/docs/about-claude/models, where the list has none or less. */
const PUBLISHED = {
  openai: {
    'gpt-4-32k': 32768,
    'gpt-4-vision-preview': 4096,
    'gpt-4.5-preview': 16384,
    'gpt-4o-audio-preview': 16384,
    'gpt-4o-mini-audio-preview': 16384,
    'gpt-4o-realtime-preview': 4096,
    'gpt-4o-mini-realtime-preview': 4096,
    'chatgpt-4o-latest': 16384,
    'gpt-3.5-0301': 4096,
    'gpt-3.5-turbo-0613': 4096,
    'o1-mini': 65536,
    'o1-preview': 32768,
    'codex-mini': 100000,
    'computer-use': 1024,
    'text-davinci-002': 4000,
    'text-davinci-003': 4000,
    ada: 2048,
    babbage: 2048,
    curie: 2048,
    davinci: 2048,
  },
  anthropic: {
    'claude-v1': 4096,
    'claude-2': 4096,
    'claude-3-haiku': 4096,
    'claude-3-sonnet': 4096,
    'claude-3-opus-latest': 4096,
    'claude-3-5-sonnet': 8192,
    'claude-3-5-haiku-latest': 8192,
    'claude-3-7-sonnet-latest': 64000,
    'claude-sonnet-4-0': 64000,
    'claude-opus-4-0': 32000,
    'claude-opus-4-1': 32000,
  },
}

const models = {}
for (const [name, { litellm_provider, max_output_tokens: most }] of Object.entries(list)) {
  const provider = PROVIDERS[litellm_provider]
  if (!provider || !Number.isInteger(most) || most < 1) continue
  const bare = name.startsWith(`${litellm_provider}/`) ? name.slice(litellm_provider.length + 1) : name
  models[provider] ??= {}
  // Of two that differ, the limit that both allow.
  models[provider][bare] = Math.min(most, models[provider][bare] ?? most)
}
for (const [provider, published] of Object.entries(PUBLISHED)) Object.assign(models[provider], published)
const sorted = (record) => Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
const all = sorted(Object.fromEntries(Object.entries(models).map(([provider, each]) => [provider, sorted(each)])))
const source = `litellm ${version} (PyPI), model_prices_and_context_window_backup.json; scripts/output-limits.mjs`
writeFileSync('src/budget/output-limits.json', `${JSON.stringify({ source, models: all }, null, 2)}\n`)
