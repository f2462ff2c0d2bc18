import { expect, it } from 'vitest'
import { requireName } from '../../src/vault/secret.ts'

const OURS = 'is set by Iron Cage itself'
const CODE = 'decides which code programs run'

it.each([
  ['OPENAI_BASE_URL', OURS],
  ['ANTHROPIC_API_URL', OURS],
  ['PYTHONPATH', OURS],
  ['IRON_CAGE_TOKEN', OURS],
  ['LD_PRELOAD', CODE],
  ['LD_LIBRARY_PATH', CODE],
  ['DYLD_INSERT_LIBRARIES', CODE],
  ['PATH', CODE],
  ['PYTHONHOME', CODE],
  ['PYTHONSTARTUP', CODE],
  ['BASH_ENV', CODE],
  ['IFS', CODE],
  ['NODE_OPTIONS', CODE],
  ['PERL5LIB', CODE],
  ['RUBYOPT', CODE],
  ['JAVA_TOOL_OPTIONS', CODE],
  ['GIT_SSH_COMMAND', CODE],
  ['HTTP_PROXY', 'decides where connections go'],
  ['https_proxy', 'decides where connections go'],
  ['SSL_CERT_FILE', 'decides which certificates are trusted'],
])('no secret is called %s, which %s', (name, why) => {
  expect(() => requireName(name)).toThrow(
    expect.objectContaining({
      code: 'bad_request',
      message: `${name} ${why}, so no secret can have this name`,
      hint: expect.stringContaining('agent.env'),
    }),
  )
})

it.each(['OPENAI_API_KEY', 'LD_SDK_KEY', 'NODE_AUTH_TOKEN', 'PYTHONANYWHERE_API_TOKEN', 'HOME_ASSISTANT', 'Path', '_'])(
  'a secret may be called %s',
  (name) => {
    expect(() => requireName(name)).not.toThrow()
  },
)
