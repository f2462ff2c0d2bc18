/** The files for containers agree with each other and with the program. `npm run release:try` runs them. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { helpOf } from '../../scripts/docs.ts'
import { configSchema } from '../../src/config/schema.ts'

const folder = resolve(import.meta.dirname, '../../container')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const USER = 10_001
const KEPT_IN = '/data'

describe('the Dockerfile', () => {
  const lines = read('Dockerfile').split('\n')

  test('the Dockerfile runs as a user without rights, keeps its state in a volume and asks for its health', () => {
    expect(lines).toContain(`USER ${USER}:${USER}`)
    expect(lines).toContain(`VOLUME ${KEPT_IN}`)
    expect(lines).toContain(`WORKDIR ${KEPT_IN}`)
    expect(lines.find((line) => line.startsWith('HEALTHCHECK'))).toContain('CMD ["iron-cage", "health"]')
  })

  test('the Dockerfile takes the executable from a release and nothing from a network', () => {
    expect(lines.filter((line) => /^(ADD|COPY) (?!--from)/.test(line))).toEqual([
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the Dockerfile
      'ADD release/iron-cage-*-linux-${ARCH}.tar.xz /release/',
    ])
    expect(lines.filter((line) => line.startsWith('RUN'))).toEqual(['RUN mkdir /release/data'])
  })
})

describe('compose.yaml', () => {
  const { services, configs } = parse(read('compose.yaml'))
  const server = services['iron-cage']

  test('compose.yaml gives the server a read-only root, no capability and time to stop its agents', () => {
    expect(server).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(Number.parseInt(server.stop_grace_period, 10)).toBeGreaterThan(graceOf('agent').stop_grace_s)
    expect(server.volumes).toEqual([`data:${KEPT_IN}`])
    expect(server.ports).toEqual(['127.0.0.1:8080:8080'])
  })

  test('compose.yaml has valid settings, which let it be called by its name', () => {
    const settings = configSchema.parse(parse(configs.settings.content))
    expect(settings.server).toMatchObject({ host: '0.0.0.0', allow_remote: true, allowed_hosts: ['iron-cage'] })
  })
})

describe('kubernetes.yaml', () => {
  const objects = parseAllDocuments(read('kubernetes.yaml')).map((document) => document.toJS())
  const of = (kind: string) => objects.find((object) => object.kind === kind)
  const pod = of('Deployment').spec.template.spec
  const [server] = pod.containers

  test('kubernetes.yaml runs one replica, which is gone before the next one starts', () => {
    expect(of('Deployment').spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } })
    expect(of('PodDisruptionBudget').spec.maxUnavailable).toBe(0)
    expect(of('HorizontalPodAutoscaler')).toBeUndefined()
  })

  test('kubernetes.yaml runs the user of the image, without rights, on a read-only root', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: USER, fsGroup: USER })
    for (const container of [...pod.initContainers, ...pod.containers]) {
      expect(container.securityContext).toEqual({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      })
    }
  })

  test('kubernetes.yaml asks for the health of the server by a name that it answers to', () => {
    expect(server.readinessProbe.httpGet).toMatchObject({ path: '/api/health', port: 'http' })
    expect(server.startupProbe.httpGet.httpHeaders).toEqual([{ name: 'Host', value: 'localhost:8080' }])
    expect(of('Service').spec.ports).toEqual([{ name: 'http', port: 8080, targetPort: 'http' }])
    expect(server.ports).toEqual([{ name: 'http', containerPort: 8080 }])
  })

  test('kubernetes.yaml has valid settings, those of compose.yaml', () => {
    const settings = parse(of('ConfigMap').data['iron-cage.yaml'])
    expect(configSchema.safeParse(settings).error?.message).toBeUndefined()
    expect(settings).toEqual(parse(parse(read('compose.yaml')).configs.settings.content))
  })

  test('the selectors of kubernetes.yaml match its labels', () => {
    const labels = of('Deployment').spec.template.metadata.labels
    for (const kind of ['Service', 'PodDisruptionBudget', 'Deployment']) {
      const { selector } = of(kind).spec
      expect(selector.matchLabels ?? selector, kind).toEqual(labels)
    }
  })
})

describe('panel.compose.yaml', () => {
  const { services } = parse(read('panel.compose.yaml'), { merge: true })

  test('panel.compose.yaml runs two panels on one PostgreSQL, each without state and rights', () => {
    const panels = [services.panel, services['second-panel']]
    expect(panels[1]).toEqual({ ...panels[0], ports: ['127.0.0.1:8091:8090'] })
    for (const panel of panels) {
      expect(panel).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
      expect(panel.volumes).toBeUndefined()
      expect(panel.depends_on).toEqual({ postgres: { condition: 'service_healthy' } })
      expect(panel.ports[0]).toMatch(/^127\.0\.0\.1:/)
    }
  })

  test('panel.compose.yaml gives the panel flags that it has, and asks for its health where it listens', async () => {
    const [shell, , command] = services.panel.entrypoint
    expect(shell).toBe('sh')
    const words = command.split(' ').slice(2)
    const help = await helpOf(['panel'])
    for (const flag of words.filter((word: string) => word.startsWith('--'))) expect(help).toContain(` ${flag} `)
    expect(services.panel.environment.IRON_CAGE_URL).toBe('http://localhost:8090')
    expect(help).toMatch(/--port .*default: "8090"/s)
  })
})

describe('panel.kubernetes.yaml', () => {
  const objects = parseAllDocuments(read('panel.kubernetes.yaml')).map((document) => document.toJS())
  const of = (kind: string) => objects.find((object) => object.kind === kind)
  const pod = of('Deployment').spec.template.spec
  const [panel] = pod.containers

  test('panel.kubernetes.yaml runs at least two panels, of which one is there while a node is drained and during an update', () => {
    expect(of('Deployment').spec).toMatchObject({ strategy: { rollingUpdate: { maxUnavailable: 0 } } })
    // Set by the autoscaler alone: an `apply` would set it back.
    expect(of('Deployment').spec.replicas).toBeUndefined()
    expect(of('HorizontalPodAutoscaler').spec).toMatchObject({ minReplicas: 2, scaleTargetRef: { kind: 'Deployment' } })
    expect(of('HorizontalPodAutoscaler').spec.scaleTargetRef.name).toBe(of('Deployment').metadata.name)
    expect(of('PodDisruptionBudget').spec.minAvailable).toBe(1)
    // Of which the autoscaler takes shares.
    expect(panel.resources.requests.cpu).toBeDefined()
  })

  test('panel.kubernetes.yaml runs the user of the image, without rights, on a read-only root', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: USER, fsGroup: USER })
    expect(panel.securityContext).toMatchObject({ readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } })
    expect(panel.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)).toEqual([KEPT_IN, '/tmp'])
  })

  test('panel.kubernetes.yaml restarts a panel that answers nothing, not one whose database is away', () => {
    expect(panel.livenessProbe.httpGet.path).toBe('/health/live')
    expect(panel.readinessProbe.httpGet.path).toBe('/health/ready')
    for (const probe of [panel.startupProbe, panel.readinessProbe, panel.livenessProbe]) {
      expect(probe.httpGet).toMatchObject({ port: 'http', httpHeaders: [{ name: 'Host', value: 'localhost:8090' }] })
    }
  })

  test('panel.kubernetes.yaml gives the panel flags that it has, and the name that the ingress has', async () => {
    const help = await helpOf(['panel'])
    for (const flag of panel.args.filter((word: string) => word.startsWith('--'))) expect(help).toContain(` ${flag} `)
    expect(panel.args.at(-1)).toBe(of('Ingress').spec.rules[0].host)
  })

  test('the selectors of panel.kubernetes.yaml match its labels', () => {
    const labels = of('Deployment').spec.template.metadata.labels
    for (const kind of ['Service', 'PodDisruptionBudget', 'Deployment']) {
      const { selector } = of(kind).spec
      expect(selector.matchLabels ?? selector, kind).toEqual(labels)
    }
  })
})

const graceOf = (section: 'agent') => configSchema.parse({})[section]
