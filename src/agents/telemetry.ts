/**
 * Agent SDKs that report to their vendors, past the gateway: unpriced, unredacted. Each has a variable that turns this
 * off; an agent gets them unless `agent.telemetry` is true. A variable that the user has set is left as it is.
 */
export const WITHOUT_TELEMETRY: Readonly<Record<string, string>> = {
  // OpenAI Agents SDK: prompts and outputs of tools.
  OPENAI_AGENTS_DISABLE_TRACING: '1',
  CREWAI_DISABLE_TELEMETRY: 'true',
  CREWAI_TRACING_ENABLED: 'false',
  HAYSTACK_TELEMETRY_ENABLED: 'False',
  AGNO_TELEMETRY: 'false',
  MEM0_TELEMETRY: 'False',
  LITELLM_TELEMETRY: 'False',
  TRACELOOP_TELEMETRY: 'false',
  // Chroma and browser-use.
  ANONYMIZED_TELEMETRY: 'False',
  HF_HUB_DISABLE_TELEMETRY: '1',
  GRADIO_ANALYTICS_ENABLED: 'False',
  STREAMLIT_BROWSER_GATHER_USAGE_STATS: 'false',
  // Claude Code.
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  DO_NOT_TRACK: '1',
}
