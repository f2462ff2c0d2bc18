/** Names that secrets cannot have, because of what such a variable does to any program. Pure. */
import { gatewayVariables, KNOWN_PROVIDER_NAMES } from '../dialects/known-providers.ts'

const ADDRESSES = Object.keys(gatewayVariables('', KNOWN_PROVIDER_NAMES))
const OURS = new Set(['NO_PROXY', 'no_proxy', 'PYTHONPATH', 'PYTHONUNBUFFERED', ...ADDRESSES])

const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /^(LD|DYLD|BASH|MALLOC|PERL5|GIT_CONFIG)_\w+$|^(PYTHON|PERL|RUBY)[A-Z0-9]+$|^(PATH|HOME|SHELL|IFS|ENV|CDPATH|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND|GCONV_PATH|LOCPATH|GLIBC_TUNABLES|NODE_OPTIONS|NODE_PATH|CLASSPATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|VIRTUAL_ENV|GIT_SSH|GIT_SSH_COMMAND|GIT_ASKPASS|GIT_EXEC_PATH)$/,
    'decides which code programs run',
  ],
  [/^(HTTP|HTTPS|ALL|FTP|WS|WSS|NO|SOCKS|SOCKS5)_PROXY$/i, 'decides where connections go'],
  [
    /^(SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS|NODE_TLS_REJECT_UNAUTHORIZED|HOSTALIASES|LOCALDOMAIN|RES_OPTIONS)$/,
    'decides which certificates are trusted',
  ],
]
/** LD_SDK_KEY is a service's key, not a setting of the loader. */
const CREDENTIAL = /_(KEY|TOKEN|SECRET|PASSWORD)$/

/** Returns why a secret cannot have this name, as the rest of a sentence; undefined when it can. */
export function whyReserved(name: string): string | undefined {
  if (/^IRON_CAGE_/i.test(name) || OURS.has(name)) return 'is set by Iron Cage itself'
  if (CREDENTIAL.test(name)) return undefined
  return REASONS.find(([names]) => names.test(name))?.[1]
}
