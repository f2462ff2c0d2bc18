/** The types of personal data, with everything that is specific to each of them. */

export type Risk = 'HIGH' | 'MEDIUM'

interface PiiTypeInfo {
  /** In a sentence: "2 phone numbers". */
  name: string
  /** As a heading or label. */
  title: string
  risk: Risk
  /** Detected unless configured otherwise. */
  byDefault: boolean
}

const TABLE = {
  email: { name: 'e-mail address', title: 'E-mail', risk: 'HIGH', byDefault: true },
  phone: { name: 'phone number', title: 'Phone', risk: 'MEDIUM', byDefault: true },
  ssn: { name: 'social security number', title: 'SSN', risk: 'HIGH', byDefault: true },
  credit_card: { name: 'card number', title: 'Credit card', risk: 'HIGH', byDefault: true },
  iban: { name: 'IBAN', title: 'IBAN', risk: 'HIGH', byDefault: true },
  secret: { name: 'secret', title: 'Keys and tokens', risk: 'HIGH', byDefault: true },
  // URLs of documentation and code are everywhere in agents' texts.
  ip: { name: 'IP address', title: 'IP address', risk: 'MEDIUM', byDefault: false },
  national_id: { name: 'national id', title: 'National id', risk: 'HIGH', byDefault: false },
  document_number: { name: 'document number', title: 'Document number', risk: 'HIGH', byDefault: false },
  date_of_birth: { name: 'date of birth', title: 'Date of birth', risk: 'HIGH', byDefault: false },
  crypto_wallet: { name: 'wallet address', title: 'Wallet', risk: 'HIGH', byDefault: false },
  mac: { name: 'MAC address', title: 'MAC address', risk: 'MEDIUM', byDefault: false },
} satisfies Record<string, PiiTypeInfo>

export type PiiType = keyof typeof TABLE

export const PII: Readonly<Record<PiiType, PiiTypeInfo>> = TABLE
export const PII_TYPES = Object.keys(TABLE) as [PiiType, ...PiiType[]]
export const DEFAULT_PII_TYPES = PII_TYPES.filter((type) => PII[type].byDefault)
