/** A deployed agent as every command sees it, with any strategy. */
import type { AgentStatus } from '../../api/agents.ts'
import type { RuntimeEvent } from '../../core/events.ts'
import type { ApiClient } from '../client/client.ts'
import { eventsOf } from '../start/follow.ts'
import type { Deployment, Deployments } from './deployments.ts'

/** Its methods throw the server's errors, and CageError `server_unreachable`. */
export interface Runner {
  /** Calls the agent with JSON inputs and resolves with its output. Throws CageError `deployment_unreachable` or `deployment_failed`. */
  run(inputs: unknown): Promise<unknown>
  /** Ends the agent, with every process that it started, and the deployment. Resolves with how it ended. */
  stop(): Promise<AgentStatus>
  /** Whether it can be called now. Never rejects. */
  isHealthy(): Promise<boolean>
  /** Its events and output until now; with `follow`, until it has ended. */
  logs(follow: boolean): AsyncIterable<RuntimeEvent>
  status(): Promise<AgentStatus>
}

/** `client`: of the server that the agent runs in. */
export function runnerOf(deployment: Deployment, deployments: Deployments, client: ApiClient): Runner {
  const path = `/api/agents/${deployment.agent_id}`
  return {
    run: (inputs) => deployments.call(deployment, inputs),
    async stop() {
      const status = await client.send<AgentStatus>('POST', `${path}/stop`)
      deployments.forget(deployment.name)
      return status
    },
    isHealthy: () => deployments.isHealthy(deployment),
    logs: (follow) => eventsOf(client, deployment.agent_id, follow && client.file === undefined),
    status: () => client.send<AgentStatus>('GET', path),
  }
}
