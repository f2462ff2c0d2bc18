/** How the secrets of well-known issuers begin, and how many characters have to follow. */

export interface Issuer {
  prefix: string
  /** Characters after the prefix, at least. Fewer are a mention, not a secret. */
  least: number
  /** The issuer fixed the length to `least`: a longer word is something else, and any characters will do. */
  exact?: true
  /** Characters beside letters and digits. */
  also: string
}

const LETTERS_AND_DIGITS = [
  'ghp_36 gho_36 ghu_36 ghs_36 ghr_36', // GitHub
  'sk_live_10 sk_test_10 rk_live_10 rk_test_10 whsec_24', // Stripe
  'npm_36 rubygems_40 hf_30 gsk_40 r8_36 dop_v1_60 doo_v1_60 dor_v1_60', // Hugging Face, Groq, Replicate, DigitalOcean
  'shpat_32 shpss_32 shpca_32 shppa_32 lin_api_32 ntn_40 sbp_36 pscale_tkn_32 key-32 NRAK-27 AGE-SECRET-KEY-50',
]
const WITH_HYPHENS = [
  'sk-20 pplx-30 xai-40 nvapi-40', // OpenAI, Anthropic, OpenRouter, Perplexity, xAI, NVIDIA
  'xoxa-20 xoxb-20 xoxc-20 xoxd-20 xoxe-20 xoxo-20 xoxp-20 xoxr-20 xoxs-20 xapp-20', // Slack
  'glpat-20 gldt-20 glrt-20 glcbt-20 glptt-40 glft-20 glsoat-20 glimt-25 glagent-50 gloas-64 github_pat_22', // GitLab, GitHub
  'pypi-40 sntrys_30 PMAK-40 figd_36 dckr_pat_24 glsa_36 sgp_40 tvly-20 ya29.30 hvs.24 hvb.24 ATATT3-40',
  '_authToken=20 _auth=20 sq0csp-40 sq0atp-22', // npm, Square
]
const WITH_DOTS = ['SG.60'] // SendGrid

function parse(rows: string[], also: string): Issuer[] {
  return rows
    .flatMap((row) => row.split(' '))
    .map((entry) => {
      const [, prefix = '', least = ''] = /^(.*[-_.=])(\d+)$/.exec(entry) ?? []
      return { prefix, least: Number(least), also }
    })
}

export const ISSUERS: Issuer[] = [
  ...parse(LETTERS_AND_DIGITS, ''),
  ...parse(WITH_HYPHENS, '-_'),
  ...parse(WITH_DOTS, '-_.'),
  { prefix: 'hooks.slack.com/services/', least: 40, also: '/' },
  { prefix: 'discord.com/api/webhooks/', least: 60, also: '/-_' },
  { prefix: 'aws_secret_access_key=', least: 40, also: '+/' },
  { prefix: 'AWS_SECRET_ACCESS_KEY=', least: 40, also: '+/' },
  { prefix: 'AccountKey=', least: 80, also: '+/=' }, // Azure
  { prefix: 'AIza', least: 35, also: '-_' }, // Google
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map((prefix): Issuer => ({ prefix, least: 16, exact: true, also: '' })), // AWS
]
