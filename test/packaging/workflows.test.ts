/** The workflow files of a public forge, read by the forge's own parser. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type * as Parser from '@actions/workflow-parser'
import { build } from 'esbuild'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }

const root = resolve(import.meta.dirname, '../..')
const folder = join(root, '.github/workflows')
const files = readdirSync(folder)

interface Step {
  uses?: string
  run?: string
}

interface Workflow {
  permissions: Record<string, string>
  jobs: Record<string, { steps: Step[]; permissions?: Record<string, string> }>
}

let parser: typeof Parser
beforeAll(async () => {
  // Bundled, since it imports JSON in a way that Node refuses.
  const { outputFiles } = await build({
    stdin: { contents: "export * from '@actions/workflow-parser'", resolveDir: root },
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire('${root}/')` },
    ...{ bundle: true, write: false, format: 'esm', platform: 'node', logLevel: 'silent' },
  })
  parser = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0]!.contents).toString('base64')}`)
})

const problemsOf = async (content: string): Promise<string[]> => {
  const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = parser
  const { context, value } = parseWorkflow({ name: 'workflow.yml', content }, new NoOperationTraceWriter())
  if (value) await convertWorkflowTemplate(context, value)
  return context.errors.getErrors().map(({ message }) => message)
}

test('there are workflows for changes and for releases', () => {
  expect(files.sort()).toEqual(['ci.yml', 'release.yml'])
})

test('images are built and pushed with the version of the release, for servers and with Python', () => {
  const work = mkdtempSync(join(tmpdir(), 'iron-cage-images-'))
  onTestFinished(() => rmSync(work, { recursive: true }))
  cpSync(join(root, 'scripts/release'), join(work, 'scripts/release'), { recursive: true })
  for (const name of ['release', 'bin']) mkdirSync(join(work, name))
  writeFileSync(join(work, 'release/iron-cage-1.2.3.tgz'), '')
  writeFileSync(join(work, 'bin/docker'), '#!/bin/sh\necho "docker $*"\n', { mode: 0o755 })
  const env = { PATH: `${join(work, 'bin')}:${process.env.PATH}` }
  const push = [join(work, 'scripts/release/push-images.sh'), 'ghcr.io/Owner/iron-cage']
  const typed = execFileSync('bash', push, { env, encoding: 'utf8' }).trim().split('\n')
  const build = 'docker build --file container/Dockerfile'
  const image = 'ghcr.io/owner/iron-cage'
  expect(typed).toEqual([
    `${build} --tag ${image}:1.2.3 --tag ${image}:latest .`,
    `${build} --tag ${image}:1.2.3-python --tag ${image}:python --build-arg BASE=python:3.13-slim .`,
    `docker push --all-tags ${image}`,
  ])
})

test('the workflow of the tutorial is a valid one', async () => {
  const page = readFileSync(join(root, 'docs/tutorials/ci.md'), 'utf8')
  const [, shown] = /^```yaml title="[^"]+"\n([\s\S]+?)^```$/m.exec(page)!
  expect(await problemsOf(shown!)).toEqual([])
})

describe.each(files)('%s', (name) => {
  const text = readFileSync(join(folder, name), 'utf8')
  const workflow = parse(text) as Workflow
  const steps = Object.values(workflow.jobs).flatMap(({ steps }) => steps)

  test('a workflow is valid', async () => {
    expect(await problemsOf(text)).toEqual([])
    expect(await problemsOf(text.replace('runs-on:', 'runs:'))).not.toEqual([])
  })

  test('a workflow uses actions by commit, with the version beside it', () => {
    const used = text.match(/uses: .*/g)!
    expect(used.length).toBeGreaterThan(1)
    for (const line of used) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  test('a workflow holds no secret, and no job may write more than it has to', () => {
    expect(text).not.toMatch(/\bsecrets\b/)
    expect(workflow.permissions).toEqual({ contents: 'read' })
    const writes = Object.entries(workflow.jobs).flatMap(([job, { permissions = {} }]) =>
      Object.entries(permissions).flatMap(([of, right]) => (right === 'write' ? [`${job} ${of}`] : [])),
    )
    const releases = [
      'build id-token',
      'build attestations',
      'pypi id-token',
      'npm id-token',
      'image packages',
      'downloads contents',
    ]
    expect(writes).toEqual(name === 'release.yml' ? releases : [])
  })

  test('a workflow builds and tests with scripts that anyone can run', () => {
    const built = steps.flatMap(({ run }) => (run ? [run] : [])).filter((run) => /npm run|\.ci/.test(run))
    expect(built).toEqual(name === 'release.yml' ? ['.ci/run', 'npm run release -- --check'] : ['.ci/run'])
    expect(packageJson.scripts).toHaveProperty('release')
  })
})
