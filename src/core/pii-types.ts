/**
 * The types of personal data. A new row does not compile without its triggers in `redaction/triggers.ts`, and its example
 * is not found without its detector.
 */

export type Risk = 'HIGH' | 'MEDIUM'

interface PiiTypeInfo {
  /** In a sentence: "2 phone numbers". */
  name: string
  /** As a heading or label. */
  title: string
  risk: Risk
  /** Detected unless configured otherwise. */
  byDefault: boolean
  example: string
  /** Found only behind it. (Default: anywhere.) */
  label?: string
}

const TABLE = {
  email: { name: 'e-mail address', title: 'E-mail', risk: 'HIGH', byDefault: true, example: 'jane.doe@example.org' },
  phone: { name: 'phone number', title: 'Phone', risk: 'MEDIUM', byDefault: true, example: '+1 415 555 0132' },
  ssn: { name: 'social security number', title: 'SSN', risk: 'HIGH', byDefault: true, example: '219-09-9999' },
  credit_card: {
    name: 'card number',
    title: 'Credit card',
    risk: 'HIGH',
    byDefault: true,
    example: '4111 1111 1111 1111',
  },
  iban: { name: 'IBAN', title: 'IBAN', risk: 'HIGH', byDefault: true, example: 'DE89 3704 0044 0532 0130 00' },
  secret: {
    name: 'secret',
    title: 'Keys and tokens',
    risk: 'HIGH',
    byDefault: true,
    example: 'ghp_0123456789abcdefghijABCDEFGHIJ012345',
  },
  // URLs of documentation and code are everywhere in agents' texts.
  ip: { name: 'IP address', title: 'IP address', risk: 'MEDIUM', byDefault: false, example: '203.0.113.7' },
  national_id: { name: 'national id', title: 'National id', risk: 'HIGH', byDefault: false, example: '111.444.777-35' },
  document_number: {
    name: 'document number',
    title: 'Document number',
    risk: 'HIGH',
    byDefault: false,
    example: 'C01234567',
    label: 'passport',
  },
  date_of_birth: {
    name: 'date of birth',
    title: 'Date of birth',
    risk: 'HIGH',
    byDefault: false,
    example: '1985-03-12',
    label: 'date_of_birth',
  },
  crypto_wallet: {
    name: 'wallet address',
    title: 'Wallet',
    risk: 'HIGH',
    byDefault: false,
    example: '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa',
  },
  mac: { name: 'MAC address', title: 'MAC address', risk: 'MEDIUM', byDefault: false, example: '00:1A:2B:3C:4D:5E' },
} satisfies Record<string, PiiTypeInfo>

export type PiiType = keyof typeof TABLE

export const PII: Readonly<Record<PiiType, PiiTypeInfo>> = TABLE
export const PII_TYPES = Object.keys(TABLE) as [PiiType, ...PiiType[]]
export const DEFAULT_PII_TYPES = PII_TYPES.filter((type) => PII[type].byDefault)
