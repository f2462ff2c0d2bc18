/** Environment variables in which clients of providers look for a key, whether we know their API or not. Pure. */

const KEY_VARIABLES: ReadonlySet<string> = new Set([
  ...['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN', 'CODEX_API_KEY'],
  ...['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'AZURE_OPENAI_API_KEY', 'AZURE_API_KEY'],
  ...[
    'AZURE_AI_API_KEY',
    'AWS_BEARER_TOKEN_BEDROCK',
    'GROQ_API_KEY',
    'MISTRAL_API_KEY',
    'COHERE_API_KEY',
    'CO_API_KEY',
  ],
  ...['OPENROUTER_API_KEY', 'DEEPSEEK_API_KEY', 'TOGETHER_API_KEY', 'TOGETHERAI_API_KEY', 'FIREWORKS_API_KEY'],
  ...['FIREWORKS_AI_API_KEY', 'XAI_API_KEY', 'PERPLEXITYAI_API_KEY', 'PERPLEXITY_API_KEY', 'CEREBRAS_API_KEY'],
  ...['SAMBANOVA_API_KEY', 'NVIDIA_API_KEY', 'NVIDIA_NIM_API_KEY', 'OLLAMA_API_KEY', 'HF_TOKEN', 'HUGGINGFACE_API_KEY'],
  ...[
    'REPLICATE_API_TOKEN',
    'REPLICATE_API_KEY',
    'DASHSCOPE_API_KEY',
    'MOONSHOT_API_KEY',
    'ZAI_API_KEY',
    'ZHIPUAI_API_KEY',
  ],
  ...['MINIMAX_API_KEY', 'VOLCENGINE_API_KEY', 'AI21_API_KEY', 'WATSONX_APIKEY', 'WATSONX_API_KEY', 'VOYAGE_API_KEY'],
  ...[
    'DEEPINFRA_API_KEY',
    'NOVITA_API_KEY',
    'NEBIUS_API_KEY',
    'HYPERBOLIC_API_KEY',
    'AI_GATEWAY_API_KEY',
    'BASETEN_API_KEY',
  ],
])

/** Returns the provider keys among these variables whose calls no configured provider takes. `used`: keys that one does. */
export const uncagedKeys = (
  variables: Readonly<Record<string, string>>,
  used: Iterable<string | undefined>,
): string[] => {
  const caged = new Set(used)
  return Object.keys(variables).filter((name) => variables[name] && KEY_VARIABLES.has(name) && !caged.has(name))
}

/** Returns all provider keys among these variables. */
export const providerKeysIn = (variables: Readonly<Record<string, string>>): string[] => uncagedKeys(variables, [])
