/** Prefixes of well-known issuers' secrets, and how many characters must follow. */

export interface Issuer {
  prefix: string
  /** Minimum characters after the prefix. Fewer are a mention, not a secret. */
  min: number
  /** The length is exactly `min`: a longer word is something else. */
  exact?: true
  /** The body is hexadecimal. (Default: letters, digits and `also`.) */
  hex?: true
  /** Even `AKIAIOSFODNN7EXAMPLE` counts as real. */
  anyBody?: true
  /** Characters in addition to letters and digits. */
  also: string
}

const LETTERS_AND_DIGITS = [
  'ghp_36 gho_36 ghu_36 ghs_36 ghr_36', // GitHub
  'sk_live_10 sk_test_10 sk_prod_10 rk_live_10 rk_test_10 rk_prod_10 whsec_24', // Stripe
  'npm_36 rubygems_40 hf_30 api_org_30 gsk_40 r8_36 jina_40 apify_api_30', // registries, Hugging Face, Groq, Replicate, Jina
  'dop_v1_60 doo_v1_60 dor_v1_60 nfp_36 rnd_28', // DigitalOcean, Netlify, Render
  'vcp_24 vci_24 vca_24 vcr_24 vck_24 cfut_40 cfat_40 cfk_40', // Vercel, Cloudflare
  'shpat_32 shpss_32 shpca_32 shppa_32 lin_api_32 lin_oauth_32 ntn_40 secret_43 sbp_36 sb_secret_20', // Shopify, Linear, Notion, Supabase
  'NRAK-27 NRII-26 NRJS-19 AGE-SECRET-KEY-50 CLOJARS_50 rdme_60 pnu_36 pnb_36 phx_36 bkua_40 aio_28', // New Relic, age, PostHog, Buildkite
  'sm_aat_16 sm_pat_16 sm_sat_16 EZAK54 EZTK54 LTAI20 AKCp60 cmVmd59 ATBB32', // EasyPost, Alibaba, Artifactory, Bitbucket
]
const HEXADECIMAL = [
  'key-32 sntryu_60 pul-40 sk_48 fc-32 e2b_40 shippo_live_40 shippo_test_40 s-s4t2ud-60 s-s4t2af-60', // Sentry, Pulumi, ElevenLabs, Firecrawl, 42
]
/** Of exactly this length. */
const HEXADECIMAL_EXACT = ['SK32 AC32 sgp_40 sgp_local_40'] // Twilio, Sourcegraph
const WITH_HYPHENS = [
  'sk-20 pplx-30 xai-40 nvapi-40 csk-40 tgp_v1_40 lsv2_40 pcsk_40 tvly-20', // OpenAI, Anthropic, OpenRouter, xAI, NVIDIA, LangSmith, Pinecone
  'xoxa-20 xoxb-20 xoxc-20 xoxd-20 xoxe-20 xoxo-20 xoxp-20 xoxr-20 xoxs-20 xapp-20', // Slack
  'github_pat_22 GOCSPX-24 sha256~43 pypi-40 PMAK-40 PMAT-30 figd_36 dckr_pat_24 dckr_oat_24', // GitHub, Google, OpenShift, PyPI, Postman, Docker
  'GR134894120 glffct-20 tskey-20 pat-na1-36 pat-eu1-36 A3-30 HRKU-AA40 CCIPAT_40 CCIPRJ_40', // GitLab, Tailscale, HubSpot, 1Password, Heroku, CircleCI
  'glsa_36 sq0csp-40 sq0atp-22 ATATT340 ATCTT340 AQVN35 v1.0-100 xkeysib-60 xsmtpsib-60', // Grafana, Square, Atlassian, Yandex, Cloudflare, Brevo
  'FLWSECK_TEST-12 FLWSECK-30 FLWPUBK_TEST-30 p8e-32 ico-32 tk-us-40 EAAA22 mdb_sa_sk_40', // Flutterwave, Infracost, Scalingo, Square, MongoDB
]
const WITH_DOTS = [
  'SG.60 pat.60 ya29.30 hvs.24 hvb.24 hvr.24 sk.eyJ60 pk.eyJ60', // SendGrid, Google, HashiCorp, Mapbox
  'dp.pt.40 dp.st.40 dp.ct.40 dp.sa.40 dt0c01.80 dt0s01.80 ghs_40', // Doppler, Dynatrace, GitHub
  'glpat-20 gldt-20 glrt-20 glcbt-20 glptt-40 glft-20 glsoat-20 glimt-25 glagent-50 gloas-64', // GitLab
]
const BASE64 = [
  'sntrys_30 ops_eyJ80 glc_30 eyJrIjoi60 fm1_40 fm1r_40 fm1a_40 fm2_40 fo1_40 ABSK80', // Sentry, 1Password, Grafana, Fly, AWS
  'pscale_tkn_30 pscale_pw_30 pscale_oauth_30 dnkey-40 fio-u-50 tfp_40 duffel_test_40 duffel_live_40 xoxe.xoxp-40 xoxe.xoxb-40',
]

/** Prefixes that themselves end in a digit. */
const ENDING_IN_DIGITS = ['GR1348941', 'ATATT3', 'ATCTT3']

function parse(rows: string[], also: string, kind: { hex?: true; exact?: true } = {}): Issuer[] {
  return rows
    .flatMap((row) => row.split(' '))
    .map((entry) => {
      const prefix = ENDING_IN_DIGITS.find((start) => entry.startsWith(start)) ?? entry.replace(/\d+$/, '')
      return { prefix, min: Number(entry.slice(prefix.length)), also, ...kind }
    })
}

export const ISSUERS: Issuer[] = [
  ...parse(LETTERS_AND_DIGITS, ''),
  ...parse(HEXADECIMAL, '', { hex: true }),
  ...parse(HEXADECIMAL_EXACT, '', { hex: true, exact: true }),
  ...parse(WITH_HYPHENS, '-_'),
  ...parse(WITH_DOTS, '-_.'),
  ...parse(BASE64, '-_+/=.'),
  { prefix: 'hooks.slack.com/', min: 40, also: '/' },
  { prefix: 'discord.com/api/webhooks/', min: 60, also: '/-_' },
  { prefix: 'webhook.office.com/webhookb2/', min: 60, also: '/-@' },
  // "bedrock.amazonaws.com" in base64
  { prefix: 'bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t', min: 0, anyBody: true, also: '-_+/=.' },
  { prefix: 'sgp_', min: 57, exact: true, also: '_' }, // Sourcegraph, with its instance
  { prefix: 'dapi', min: 32, hex: true, also: '-' }, // Databricks
  { prefix: 'AIza', min: 35, exact: true, also: '-_' }, // Google
  { prefix: 'EAA', min: 100, also: '' }, // Facebook
  ...['AKIA', 'ASIA', 'ABIA', 'ACCA'].map(
    (prefix): Issuer => ({ prefix, min: 16, exact: true, anyBody: true, also: '' }),
  ), // AWS
]
