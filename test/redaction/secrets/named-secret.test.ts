import { describe, expect, test } from 'vitest'
import { found } from '../../support/found.ts'

const RANDOM = '7mpaik2656stdkbhz61z1ur4fi5u09zl'

/** Ways to write that a name has a value; `%` is the value. */
const FORMS = [
  'ADAFRUIT_TOKEN=%',
  'export DB_PASSWORD=%',
  'adafruit_token: %',
  'adafruitToken = "%"',
  "adafruit_token: '%'",
  '{"adafruit_token": "%"}',
  '{\\"adafruit_token\\": \\"%\\"}',
  '{"config": "ADAFRUIT_TOKEN=%\\nBACKUP=true"}',
  'var adafruitToken string = "%"',
  'const apiKey: string = "%"',
  'char secret[40] = "%";',
  '$adafruitToken .= "%"',
  'adafruit_TOKEN ::= "%"',
  'adafruitToken := `%`',
  '"adafruitToken" => "%"',
  "settings['secret_key'] = '%'",
  'if (apiKey !== "%") {',
  'System.setProperty("ADAFRUIT_TOKEN", "%")',
  'os.environ.get("API_SECRET", "%")',
  '<adafruitToken>\n    %\n</adafruitToken>',
  '<password>%</password>',
  '<add key="ApiSecret" value="%" />',
  '- name: DB_PASSWORD\n  value: %',
  '{"name":"API_KEY","value":"%"}',
  'https://example.com/x?user=root&password=%&next=1',
  'Server=tcp:db;User ID=sa;Password=%;Encrypt=true',
  'Authorization: Bearer %',
  'curl -H "Authorization: Basic %" https://example.com',
  'X-Api-Key: %',
  'tool --api-key % --verbose',
  'tool --softlayer-api-key "%"',
  'curl -u admin:% https://example.com',
  "curl --user 'admin:%' https://example.com",
  'API key: %',
  'ibm-cloud-key: %',
  'my_password_prod = "%"',
]

const VALUES: [text: string, ...values: string[]][] = [
  ['DB_PASSWORD=hunter2hunter2', 'secret:hunter2hunter2'],
  ['DB_PASSWORD=hunter2', 'secret:hunter2'],
  ['"password": "c0rrect-h0rse"', 'secret:c0rrect-h0rse'],
  ['password = "p@{w]rd(no)d[igit#s"', 'secret:p@{w]rd(no)d[igit#s'],
  ['Authorization: Basic YWRtaW46czNjcjN0cGFzcw==', 'secret:YWRtaW46czNjcjN0cGFzcw=='],
  ['Cookie: session=8f14e45fceea167a5a36dedd4bea2543', 'secret:8f14e45fceea167a5a36dedd4bea2543'],
  [
    'aws_secret_access_key: 0qk+o7XctJMmG6ydO8537c9+TofLJU1K0PiVBXSg',
    'secret:0qk+o7XctJMmG6ydO8537c9+TofLJU1K0PiVBXSg',
  ],
  ['curl -u admin:s3cr3tpass https://x.example', 'secret:s3cr3tpass'],
  // To their end: half a password is one that can be guessed.
  ['my password: Tr0ub4dor&3', 'secret:Tr0ub4dor&3'],
  ['?password=Tr0ub4dor3&next=1', 'secret:Tr0ub4dor3'],
  ['token=Tr0ub4dor3xx99&amp;next=1, key', 'secret:Tr0ub4dor3xx99'],
  ['HOME=/root\nDB_PASSWORD=Tr0u,b4;d(o)r|3&x\nNEXT=1', 'secret:Tr0u,b4;d(o)r|3&x'],
  ['"DB_PASSWORD=Tr0u,b4dor3"', 'secret:Tr0u,b4dor3'],
  ['api_token: "2f7a1c3e-9b1d-4c5f-8a6e-7d3b2c1a0f9e"', 'secret:2f7a1c3e-9b1d-4c5f-8a6e-7d3b2c1a0f9e'],
]

const LEFT_ALONE = [
  // Names of something else.
  'max_tokens: 4096, input_tokens=12x34y56z78, "token_type": "b3ar3r-t0k3n-t1pe", tokenizer = "cl100k_base"',
  `nextPageToken: "${RANDOM}", csrf-token=${RANDOM}, public_key = "${RANDOM}", primaryKey="${RANDOM}"`,
  `keyboard: "${RANDOM}", monkey=${RANDOM}, author="${RANDOM}", bypass_id=${RANDOM}, sort_key: "${RANDOM}"`,
  '"session_id": "sesn_011CZkZAtmR3yMPDzynEDxu7", "tool_call_id": "call_9f8a7b6c5d4e3f2a1b0c"',
  'passwordField = "field2name3x", secret_length = X25519.secret_length, password_hash: argon2id',
  // Placeholders for a secret.
  'password="password123", api_key = "YOUR_API_KEY_1", token: "xxxxxxxxxxxx1", secret=changeme123',
  `DB_PASSWORD=\${DB_PASSWORD_2}, password: {{ vault.db2_password }}, TOKEN=$GITHUB_TOKEN1, key=<insert 1 here>`,
  'Authorization: Bearer $API_KEY_1, Authorization: Bearer <token1>, curl -u "$USER1:$PASS1" https://example.com',
  'password: "********", secret_key: "...", api_key="12345678", token = "example-token-1"',
  // Code.
  'token = getToken1(), password = form.password1, api_key = os.environ["API_KEY_2"], key = sha256Digest',
  `const key = \`--\${def.key}|\${key}\`; token: utf8Token; secret = config.secrets[0]; password: string1`,
  'def encode(private_key: ed25519.Ed25519PrivateKey, password: bytes) -> str: ...',
  'TOKEN_FILE=/run/secrets/token1, key = "./certs/server1.key", private_key: "https://example.com/k1"',
  // Prose.
  'The password: at least 8 characters, one of them a digit. The secret: retryPolicy. Key: C4 major.',
  '{"content":"journalctl -u getty@tty1.service","id":704339495327280040,"nested":{"deep":1}}',
  'docker run -u 1000:1000 image, sudo -u www1:data2, pino -u http://localhost:8080/logs',
  'password = "value with quotes and 2 spaces"; token expires: 2026-01-15T10:30:00Z; key: 2.5.1',
]

describe('a secret is known by the name it is assigned to', () => {
  test.each(FORMS)('%s', (form) => {
    expect(found(form.replace('%', RANDOM))).toEqual([`secret:${RANDOM}`])
  })

  test.each(VALUES)('%s', (text, ...values) => {
    expect(found(text)).toEqual(values)
  })

  test.each(LEFT_ALONE)('no named secret is found in %j', (text) => {
    expect(found(text)).toEqual([])
  })

  test('a named secret is found to its last character, however long it is', () => {
    const value = RANDOM.repeat(60)
    expect(found(`token = "${value}", next`)).toEqual([`secret:${value}`])
    expect(found(`TOKEN=${value} next`)).toEqual([`secret:${value}`])
    expect(found(`curl -u admin:${value} next`)).toEqual([`secret:${value}`])
  })
})

describe('passwords in URLs', () => {
  test.each([
    ['mongodb+srv://app:myR3alP@ssw0rd@cluster0.example.net/db?w=1', 'myR3alP@ssw0rd'],
    ['postgresql://user:pa/ss#w0rd9@host/db', 'pa/ss#w0rd9'],
    ['postgresql://user:pa:ss9@host/db', 'pa:ss9'],
    ['see https://user:s3cr3t@host.example/a@b/c', 's3cr3t'],
    ['redis://:s3cr3t@cache:6379/0', 's3cr3t'],
  ])('%s', (text, password) => {
    expect(found(text)).toEqual([`secret:${password}`])
  })

  test.each([
    'http://localhost:8080/@scope/name, https://example.com/a:b@c, https://host:443?to=a@b',
    'https://user:password@example.com, https://YOUR_USER:YOUR_PASSWORD@example.com, https://user:xxx@example.com',
    '<protocol>://[<user>[:<password>]@]<hostname>',
  ])('a URL without a real password is left alone: %s', (text) => {
    expect(found(text).filter((value) => value.startsWith('secret'))).toEqual([])
  })
})
