/** Whether a name indicates that its value is a secret. */
import type { ValueKind } from './secret-value.ts'

type Kind = ValueKind['kind']

/**
 * Suffixes of the word: `secret_key_base`, `token4`, `password_prod`. Single digits, so that a run matches one way
 * only.
 */
const ENDINGS =
  /(?:_(?:value|val|str|string|text|plain|raw|base|prod|production|dev|test|staging|live|secure|super|sec|default|old|new|current|primary|secondary|main|b64|base64|encoded)|_?\d)+$/
/** Keys and tokens that are public. */
const PUBLIC = new RegExp(
  '(?:csrf|xsrf|authenticity|public|publishable|primary|foreign|page|continuation|' +
    '(?:^|_)(?:pub|unique|composite|partition|sort|range|hash|cache|bucket|row|column|index|object|group|event|sequence|' +
    'schema|message|lookup|map|dict|next|prev|previous|cursor|sync|start|end|first|last|current|stop|pad|eos|bos|unk|sep|mask|' +
    'idempotency|translation|i18n|locale|routing|host|down|up|parent|child|sub|data|json|item|field|property|attribute|' +
    'config|setting|tree|dedupe|resume|aggregation|react|list|query|state|view|short|hot|modifier|binding|shortcut))_?(?:token|key)$',
)
const PASSWORD = /(?:^|_)(?:pass|pw|pin)$|pass(?:word|wd|phrase|code)$|pwd$|pswd$/
const TOKEN =
  /secrete?s?$|(?:^|_)creds?$|credentials?$|token$|(?:^|_)(?:pat|jwt|bearer|auth|authorization|sid)$|sess(?:ion)?(?:id)?$/
const KEY =
  /(?:api|app|application|access|secret|private|priv|auth|authorization|authentication|encrypt|encryption|sign|signing|account|master|service|client|admin|root|session|shared|consumer|storage|deploy|integration|webhook|hmac|crypt|subscription|license|management|writer?|ingest|project|instrumentation|function|iam|ssh|rsa|aes|ssl|tls|jwt|web)_?keys?$/
const OTHER_KEY = /(?:^|_)key$/
/** Named for their purpose: `apikey_myservice`. But `password_length` is a number, `token_url` a URL. */
const CONTINUED = /(?:^|_)(?:api_?key|secret_?key|access_?key|auth_?key|password|passwd|secret|token)_[a-z\d]+$/
const ABOUT =
  /_(?:ids?|name|type|url|uri|path|file|dir|count|limit|length|len|size|hash|digest|expir\w*|ttl|date|time|at|in|version|status|state|scopes?|field|prefix|suffix|index|usage|hint|label|arn|ref|format|pattern|checksum|fingerprint|sha\d*|md5)$/

/** Cache, since names repeat. */
const KINDS = new Map<string, Kind | null>()
const MAX_KINDS = 1_000

/** Returns the kind of secret that a name indicates, or null. */
export function secretKind(name: string): Kind | null {
  const known = KINDS.get(name)
  if (known !== undefined) return known
  if (KINDS.size === MAX_KINDS) KINDS.clear()
  const kind = kindOfWords(wordsOf(name))
  KINDS.set(name, kind)
  return kind
}

/** Returns `adafruitToken_2` as `adafruit_token`. */
function wordsOf(name: string): string {
  const words = name.replace(/([a-z\d])([A-Z])/g, '$1_$2').toLowerCase()
  return words
    .replace(/[^a-z\d]+/g, '_')
    .replace(/_$/, '')
    .replace(ENDINGS, '')
}

function kindOfWords(words: string): Kind | null {
  if (PASSWORD.test(words)) return 'password'
  if (KEY.test(words)) return 'token'
  if (PUBLIC.test(words)) return null
  if (TOKEN.test(words)) return 'token'
  return OTHER_KEY.test(words) || (CONTINUED.test(words) && !ABOUT.test(words)) ? 'weak' : null
}
