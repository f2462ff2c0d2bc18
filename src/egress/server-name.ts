/** Reads the server name that a client of TLS names first, before anything is encrypted (RFC 8446, 4.1.2; RFC 6066, 3). */

export type Hello =
  /** More bytes are needed. */
  | { kind: 'partial' }
  /** The bytes are not the beginning of TLS. */
  | { kind: 'other' }
  /** `isHidden`: the name proves nothing, since the client encrypts another one (ECH). */
  | { kind: 'tls'; name: string | undefined; isHidden: boolean }

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const ENCRYPTED_CLIENT_HELLO = 0xfe0d
/** Of a ClientHello; with post-quantum keys they have some 2 KB. */
const MAX_HELLO = 65_536

const OTHER: Hello = { kind: 'other' }
const PARTIAL: Hello = { kind: 'partial' }

/** `bytes`: everything that the client sent so far. */
export function readHello(bytes: Buffer): Hello {
  if (bytes.length === 0) return PARTIAL
  if (bytes[0] !== HANDSHAKE) return OTHER
  const message = handshakeIn(bytes)
  if (message === undefined) return OTHER
  if (message.length < 4) return PARTIAL
  const length = message.readUIntBE(1, 3)
  if (message[0] !== CLIENT_HELLO || length > MAX_HELLO) return OTHER
  if (message.length < 4 + length) return PARTIAL
  try {
    return readExtensions(message.subarray(4, 4 + length))
  } catch (error) {
    if (error instanceof RangeError) return OTHER
    throw error
  }
}

/** A message may be cut into several records. Undefined for other content. */
function handshakeIn(bytes: Buffer): Buffer | undefined {
  const pieces: Buffer[] = []
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3) return pieces.length > 0 ? Buffer.concat(pieces) : undefined
    pieces.push(bytes.subarray(at + 5, end))
    at = end
  }
  return Buffer.concat(pieces)
}

/** Throws RangeError for lengths that do not fit. */
function readExtensions(hello: Buffer): Hello {
  // Version and random, then session id, cipher suites and compression methods.
  let at = 34
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  let name: string | undefined
  let isHidden = false
  const end = at + 2 + hello.readUInt16BE(at)
  if (end > hello.length) throw new RangeError('extensions are cut')
  for (at += 2; at < end; ) {
    const kind = hello.readUInt16BE(at)
    const content = hello.subarray(at + 4, at + 4 + hello.readUInt16BE(at + 2))
    if (kind === SERVER_NAME) {
      if (name !== undefined) throw new RangeError('two lists of names')
      name = onlyName(content)
    }
    isHidden ||= kind === ENCRYPTED_CLIENT_HELLO
    at += 4 + content.length
  }
  return { kind: 'tls', name, isHidden }
}

/** One host name is all that a list may have: of several, servers take different ones. Throws RangeError. */
function onlyName(list: Buffer): string {
  const name = list.subarray(5)
  const isOne =
    list.readUInt16BE(0) === list.length - 2 && list[2] === HOST_NAME && list.readUInt16BE(3) === name.length
  if (!isOne) throw new RangeError('not one host name')
  return name.toString('latin1').toLowerCase()
}
