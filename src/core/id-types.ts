/**
 * Ids as separate types: a plain string, or the id of something else, does not compile where one is expected. They are
 * created in `ids.ts`, read from the database and from events, and looked up in the snapshot. Free of Node.
 */
declare const brand: unique symbol

/** The brand of an id type. Exported because declarations of other modules name it. */
export interface Brand<Kind extends string> {
  readonly [brand]: Kind
}

/** An agent, e.g. "lg-7a3f9c2d". Stays the same across restarts. */
export type AgentId = string & Brand<'agent'>
/** One run of an agent, e.g. "run-5f0c2b9e41d3". */
export type RunId = string & Brand<'run'>
/** One LLM or service call, e.g. "call-19aa0b1c2d3e4f5a6b7c8". */
export type CallId = string & Brand<'call'>
