/** The clients of the matrix, with pinned versions, and where each looks for its provider. */
import type { Turn } from '../../test/conformance/turn.ts'

export type Vendor =
  | ('openai' | 'azure' | 'anthropic' | 'google' | 'bedrock' | 'vertex' | 'cohere' | 'ollama')
  | ('groq' | 'together' | 'mistral')

/** How a framework wants a model to answer. */
export interface Answers {
  /** Formats a text as the client's framework wants it from a model. */
  says?: (text: string) => string
  /** The turns that call a tool and that follow its result, for frameworks with formats and tools of their own. */
  calls?: Turn
  ends?: Turn
}

export interface MatrixClient {
  /** As the table shows it. */
  name: string
  vendor: Vendor
  /** Of `programs/`. */
  program: string
  /** Pinned packages of PyPI; of npm for a program that is one of Node; none for Java, whose JDK is the machine's. */
  packages: readonly string[]
  environment?: Record<string, string>
  /** In US dollars; what costs more than it has no answer. (Default: 1.) */
  budget?: number
  /** Seconds that its six cells may take together. (Default: 180.) */
  seconds?: number
  answers?: Answers
}

export const keyOf = (vendor: string): string => `sk-${vendor}-of-the-user-0123456789abcdef`

/** The model that is asked, and one that costs more than any budget has. */
export const MODELS: Readonly<Record<Vendor, { model: string; dear: string }>> = {
  openai: { model: 'gpt-4o-mini', dear: 'gpt-4o' },
  azure: { model: 'gpt-4o-mini', dear: 'gpt-4o' },
  anthropic: { model: 'claude-haiku-4-5', dear: 'claude-opus-4-1' },
  google: { model: 'gemini-2.5-flash', dear: 'gemini-2.5-pro' },
  bedrock: { model: 'us.anthropic.claude-haiku-4-5-20251001-v1:0', dear: 'us.anthropic.claude-opus-4-1-20250805-v1:0' },
  vertex: { model: 'claude-haiku-4-5@20251001', dear: 'claude-opus-4-1@20250805' },
  cohere: { model: 'command-r-08-2024', dear: 'command-a-03-2025' },
  ollama: { model: 'qwen3', dear: 'llama3.3' },
  groq: { model: 'llama-3.1-8b-instant', dear: 'llama-3.3-70b-versatile' },
  together: { model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo', dear: 'deepseek-ai/DeepSeek-R1' },
  mistral: { model: 'mistral-small-latest', dear: 'mistral-large-latest' },
}

/** The variables with which a client without a cage calls a provider at `url`, and the path of its API there. */
export const ADDRESSES: Readonly<Record<Vendor, { path: string; variables: (url: string) => Record<string, string> }>> =
  {
    openai: { path: '/v1', variables: (url) => ({ OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_BASE: `${url}/v1` }) },
    azure: { path: '', variables: (url) => ({ AZURE_OPENAI_ENDPOINT: url }) },
    anthropic: { path: '', variables: (url) => ({ ANTHROPIC_BASE_URL: url, ANTHROPIC_API_URL: url }) },
    google: { path: '', variables: (url) => ({ GOOGLE_GEMINI_BASE_URL: url }) },
    bedrock: {
      path: '',
      variables: (url) => ({ AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url, ANTHROPIC_BEDROCK_BASE_URL: url }),
    },
    vertex: { path: '', variables: (url) => ({ ANTHROPIC_VERTEX_BASE_URL: `${url}/v1` }) },
    cohere: { path: '', variables: (url) => ({ CO_API_URL: url }) },
    ollama: { path: '', variables: (url) => ({ OLLAMA_HOST: url }) },
    groq: { path: '/openai/v1', variables: (url) => ({ GROQ_BASE_URL: url }) },
    together: { path: '/v1', variables: (url) => ({ TOGETHER_BASE_URL: `${url}/v1` }) },
    mistral: { path: '/v1', variables: (url) => ({ MISTRAL_BASE_URL: url }) },
  }

export const AWS = {
  AWS_ACCESS_KEY_ID: 'AKIA-of-the-user',
  AWS_SECRET_ACCESS_KEY: 'secret-of-the-user-0123456789',
  AWS_EC2_METADATA_DISABLED: 'true',
} as const

/** Keys by every name, and what keeps frameworks from calling their makers. */
export const SHELL: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['openai', 'anthropic', 'groq', 'together', 'mistral'].map((name) => [
      `${name.toUpperCase()}_API_KEY`,
      keyOf(name),
    ]),
  ),
  ...AWS,
  AZURE_OPENAI_API_KEY: keyOf('azure'),
  GEMINI_API_KEY: keyOf('google'),
  CO_API_KEY: keyOf('cohere'),
  MATRIX_TOKEN: keyOf('vertex'),
  OPENAI_API_VERSION: '2024-10-21',
  ANONYMIZED_TELEMETRY: 'False',
  CREWAI_DISABLE_TELEMETRY: 'true',
  CREWAI_TRACING_ENABLED: 'false',
  LANGSMITH_TRACING: 'false',
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  OPENAI_AGENTS_DISABLE_TRACING: '1',
  HAYSTACK_TELEMETRY_ENABLED: 'False',
  OTEL_SDK_DISABLED: 'true',
}

const openai = (name: string, program: string, ...packages: string[]): MatrixClient => ({
  name,
  vendor: 'openai',
  program,
  packages,
})

const sdk = (vendor: Vendor, kind: string, ...packages: string[]): MatrixClient => ({
  name: vendor === 'azure' ? 'openai, AzureOpenAI' : vendor,
  vendor,
  program: 'openai_client.py',
  packages,
  environment: { MATRIX_CLASS: kind },
})

/** DSPy reads fields by headings, Instructor objects. */
const headed = (field: string, text: string) => `[[ ## ${field} ## ]]\n${text}\n\n`
const COMPLETED = '[[ ## completed ## ]]'
const CITY = headed('next_tool_args', '{"city": "Oslo"}')
const underHeadings = (text: string) => `${headed('answer', text)}${COMPLETED}`
const asObject = (text: string) => JSON.stringify({ text })

/** The call of a tool that runs a command, for clients that bring their own tools. */
const shell = (name: string, given: object): Turn => ({ calls: [{ name, arguments: [JSON.stringify(given)] }] })
const ECHO = 'echo 4 degrees in Oslo'

export const MATRIX: readonly MatrixClient[] = [
  openai('openai', 'openai_client.py', 'openai==3.54.0'),
  sdk('azure', 'openai.AzureOpenAI', 'openai==3.54.0'),
  { name: 'anthropic', vendor: 'anthropic', program: 'anthropic_client.py', packages: ['anthropic==2.12.0'] },
  {
    name: 'anthropic, AnthropicBedrock',
    vendor: 'bedrock',
    program: 'anthropic_client.py',
    packages: ['anthropic[bedrock]==2.12.0'],
    environment: { MATRIX_CLASS: 'bedrock' },
  },
  {
    name: 'anthropic, AnthropicVertex',
    vendor: 'vertex',
    program: 'anthropic_client.py',
    packages: ['anthropic[vertex]==2.12.0'],
    environment: { MATRIX_CLASS: 'vertex' },
  },
  { name: 'boto3', vendor: 'bedrock', program: 'bedrock_client.py', packages: ['boto3==1.44.5'] },
  { name: 'google-genai', vendor: 'google', program: 'google_client.py', packages: ['google-genai==3.4.0'] },
  { name: 'cohere', vendor: 'cohere', program: 'cohere_client.py', packages: ['cohere==7.3.1'] },
  { name: 'ollama', vendor: 'ollama', program: 'ollama_client.py', packages: ['ollama==0.6.3'] },
  sdk('groq', 'groq.Groq', 'groq==1.7.0'),
  sdk('together', 'together.Together', 'together==3.1.1'),
  { name: 'mistralai', vendor: 'mistral', program: 'mistral_client.py', packages: ['mistralai==3.7.0'] },
  openai('LiteLLM', 'litellm_client.py', 'litellm[mcp]==1.106.2'),
  openai('LangChain', 'langchain_client.py', 'langchain-openai==1.7.3'),
  openai('LangGraph', 'langgraph_client.py', 'langgraph==1.2.22', 'langchain==1.4.7', 'langchain-openai==1.7.3'),
  openai('LlamaIndex', 'llama_index_client.py', 'llama-index-core==0.14.25', 'llama-index-llms-openai==0.8.3'),
  openai('CrewAI', 'crewai_client.py', 'crewai==1.15.30'),
  openai('Pydantic AI', 'pydantic_ai_client.py', 'pydantic-ai-slim[openai]==2.68.0'),
  openai('OpenAI Agents SDK', 'openai_agents_client.py', 'openai-agents==0.24.0'),
  {
    ...openai('DSPy', 'dspy_client.py', 'dspy==3.4.1', 'litellm==1.106.2'),
    answers: {
      says: underHeadings,
      calls: { text: [headed('next_thought', 'Look.'), headed('next_tool_name', 'warmth'), CITY, COMPLETED] },
      ends: { text: [headed('reasoning', 'Seen.'), headed('answer', 'Oslo 4 degrees.'), COMPLETED] },
    },
  },
  { ...openai('Instructor', 'instructor_client.py', 'instructor==1.17.0'), answers: { says: asObject } },
  {
    ...openai('smolagents', 'smolagents_client.py', 'smolagents[openai]==1.26.0'),
    answers: { ends: { calls: [{ name: 'final_answer', arguments: ['{"answer": "Oslo ', '4 degrees."}'] }] } },
  },
  openai('AutoGen', 'autogen_client.py', 'autogen-agentchat==0.7.5', 'autogen-ext[openai]==0.7.5'),
  openai('Haystack', 'haystack_client.py', 'haystack-ai==3.4.0'),
  openai('Agno', 'agno_client.py', 'agno==3.1.10', 'openai==3.54.0'),
  openai('openai (Node)', 'openai.mjs', 'openai@7.57.0'),
  { name: '@google/genai', vendor: 'google', program: 'google.mjs', packages: ['@google/genai@2.32.0'] },
  openai('AI SDK', 'ai.mjs', 'ai@7.0.173', '@ai-sdk/openai@4.0.118'),
  {
    name: 'Claude Code',
    vendor: 'anthropic',
    program: 'claude_code.mjs',
    packages: ['@anthropic-ai/claude-code@2.1.197'],
    environment: { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' },
    seconds: 400,
    answers: { calls: shell('Bash', { command: ECHO, description: 'Looks.' }) },
  },
  {
    ...openai('Codex', 'codex.mjs', '@openai/codex@0.169.0'),
    // It lets the provider search the web in every call.
    budget: 20,
    seconds: 400,
    answers: { calls: shell('exec_command', { cmd: ECHO }) },
  },
  {
    name: 'Gemini CLI',
    vendor: 'google',
    program: 'gemini_cli.mjs',
    packages: ['@google/gemini-cli@0.61.0'],
    seconds: 400,
    answers: { calls: shell('run_shell_command', { command: ECHO, description: 'Looks.' }) },
  },
  openai('Java HttpClient', 'HttpClientCells.java'),
  openai('LangChain.js', 'langchain.mjs', '@langchain/openai@1.6.0', '@langchain/core@1.4.0'),
]
