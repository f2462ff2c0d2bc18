/**
 * Usage as providers report it, and its cost to the last nanodollar: worked out by hand from the vendors' rates as the
 * list of prices has them, in US dollars per million tokens and per use. `worked` is the sum; the order is uncached,
 * cached, written, output. A row that needs another day than the test's names it.
 */
export interface GoldenRow {
  /** The case. */
  name: string
  model: string
  /** The part of the provider's reply with usage and cost. */
  reply: object
  /** Null where the reply has no usable count: then the call is estimated from the delivered part. */
  usd: string | null
  worked: string
  /** The price is not known to be this: the charge is flagged. */
  isEstimate?: true
  /** The day of the call. (Default: GOLDEN_DAY.) */
  day?: string
}

export const GOLDEN_DAY = '2026-11-21'

const CHAT_COMPLETIONS: readonly GoldenRow[] = [
  {
    name: 'plain',
    model: 'gpt-4',
    reply: { usage: { prompt_tokens: 3_000, completion_tokens: 500, total_tokens: 3_500 } },
    worked: '3,000 × 30 + 500 × 60 a million',
    usd: '0.12',
  },
  {
    name: 'plain, of a model with a cache price',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 } },
    worked: '1,000 × 2.5 + 500 × 10 a million',
    usd: '0.0075',
  },
  {
    name: 'partly cached: the input includes the cached tokens',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 500,
        total_tokens: 1_500,
        prompt_tokens_details: { cached_tokens: 600 },
      },
    },
    worked: '400 × 2.5 + 600 × 1.25 + 500 × 10 a million',
    usd: '0.00675',
  },
  {
    name: 'wholly cached',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_024,
        completion_tokens: 16,
        total_tokens: 1_040,
        prompt_tokens_details: { cached_tokens: 1_024 },
      },
    },
    worked: '1,024 × 1.25 + 16 × 10 a million',
    usd: '0.00144',
  },
  {
    name: 'one token each',
    model: 'gpt-4o-mini',
    reply: { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
    worked: '1 × 0.15 + 1 × 0.6 a million',
    usd: '0.00000075',
  },
  {
    name: 'cached at a tenth',
    model: 'gpt-5',
    reply: {
      usage: {
        prompt_tokens: 20_000,
        completion_tokens: 800,
        total_tokens: 20_800,
        prompt_tokens_details: { cached_tokens: 19_200 },
      },
    },
    worked: '800 × 1.25 + 19,200 × 0.125 + 800 × 10 a million',
    usd: '0.0114',
  },
  {
    name: 'a model without a cache price charges cached tokens in full',
    model: 'gpt-3.5-turbo',
    reply: {
      usage: {
        prompt_tokens: 2_000,
        completion_tokens: 100,
        total_tokens: 2_100,
        prompt_tokens_details: { cached_tokens: 1_024 },
      },
    },
    worked: '2,000 × 0.5 + 100 × 1.5 a million',
    usd: '0.00115',
  },
  {
    name: 'reasoning is output and not counted twice',
    model: 'o3',
    reply: {
      usage: {
        prompt_tokens: 1_500,
        completion_tokens: 2_000,
        total_tokens: 3_500,
        completion_tokens_details: { reasoning_tokens: 1_500 },
      },
    },
    worked: '1,500 × 2 + 2,000 × 8 a million',
    usd: '0.019',
  },
  {
    name: 'reasoning only',
    model: 'o1',
    reply: {
      usage: {
        prompt_tokens: 50,
        completion_tokens: 4_096,
        total_tokens: 4_146,
        completion_tokens_details: { reasoning_tokens: 4_096 },
      },
    },
    worked: '50 × 15 + 4,096 × 60 a million',
    usd: '0.24651',
  },
  {
    name: 'reasoning with a cache',
    model: 'gpt-5-mini',
    reply: {
      usage: {
        prompt_tokens: 5_000,
        completion_tokens: 1_200,
        total_tokens: 6_200,
        prompt_tokens_details: { cached_tokens: 4_096 },
        completion_tokens_details: { reasoning_tokens: 1_024 },
      },
    },
    worked: '904 × 0.25 + 4,096 × 0.025 + 1,200 × 2 a million',
    usd: '0.0027284',
  },
  {
    name: 'the dearest model',
    model: 'o1-pro',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 1_000, total_tokens: 2_000 } },
    worked: '1,000 × 150 + 1,000 × 600 a million',
    usd: '0.75',
  },
  {
    name: 'predicted output is within the output',
    model: 'gpt-4.1',
    reply: {
      usage: {
        prompt_tokens: 900,
        completion_tokens: 400,
        total_tokens: 1_300,
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 250,
          rejected_prediction_tokens: 50,
        },
      },
    },
    worked: '900 × 2 + 400 × 8 a million',
    usd: '0.005',
  },
  {
    name: 'audio in and out',
    model: 'gpt-audio',
    reply: {
      usage: {
        prompt_tokens: 1_200,
        completion_tokens: 300,
        total_tokens: 1_500,
        prompt_tokens_details: { audio_tokens: 1_000 },
        completion_tokens_details: { audio_tokens: 250 },
      },
    },
    worked: '200 × 2.5 + 1,000 × 32 + 50 × 10 + 250 × 64 a million',
    usd: '0.049',
  },
  {
    name: 'audio of the small model',
    model: 'gpt-audio-mini',
    reply: {
      usage: {
        prompt_tokens: 5_000,
        completion_tokens: 2_000,
        total_tokens: 7_000,
        prompt_tokens_details: { audio_tokens: 5_000 },
        completion_tokens_details: { audio_tokens: 1_800 },
      },
    },
    worked: '5,000 × 10 + 200 × 2.4 + 1,800 × 20 a million',
    usd: '0.08648',
  },
  {
    name: 'audio beside cached text',
    model: 'gpt-audio',
    reply: {
      usage: {
        prompt_tokens: 3_000,
        completion_tokens: 10,
        total_tokens: 3_010,
        prompt_tokens_details: { cached_tokens: 2_048, audio_tokens: 500 },
      },
    },
    worked: '452 × 2.5 + 2,048 × 2.5 + 500 × 32 + 10 × 10 a million',
    usd: '0.02235',
  },
  {
    name: 'audio where it has no price, at the dearest rate',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        prompt_tokens_details: { audio_tokens: 400 },
      },
    },
    worked: '600 × 2.5 + 400 × 10 + 100 × 10 a million',
    usd: '0.0065',
    isEstimate: true,
  },
  {
    name: 'text and image parts cost as the rest',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_500,
        completion_tokens: 20,
        total_tokens: 1_520,
        prompt_tokens_details: { text_tokens: 64, image_tokens: 1_436, cached_tokens: 0, audio_tokens: 0 },
      },
    },
    worked: '1,500 × 2.5 + 20 × 10 a million',
    usd: '0.00395',
  },
  {
    name: 'written to the cache and read from it',
    model: 'gpt-6-luna',
    reply: {
      usage: {
        prompt_tokens: 2_000,
        completion_tokens: 100,
        total_tokens: 2_100,
        prompt_tokens_details: { cached_tokens: 500, cache_write_tokens: 1_000 },
      },
    },
    worked: '500 × 0.1 + 500 × 0.01 + 1,000 × 0.125 + 100 × 0.5 a million',
    usd: '0.00023',
  },
  {
    name: 'the standard tier by name',
    model: 'gpt-4o',
    reply: { service_tier: 'default', usage: { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 } },
    worked: '1,000 × 2.5 + 500 × 10 a million',
    usd: '0.0075',
  },
  {
    name: 'the scale tier, paid in advance',
    model: 'gpt-4o',
    reply: { service_tier: 'scale', usage: { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 } },
    worked: '1,000 × 2.5 + 500 × 10 a million',
    usd: '0.0075',
  },
  {
    name: 'flex is half, cached or not',
    model: 'o3',
    reply: {
      service_tier: 'flex',
      usage: {
        prompt_tokens: 10_000,
        completion_tokens: 1_000,
        total_tokens: 11_000,
        prompt_tokens_details: { cached_tokens: 4_096 },
      },
    },
    worked: '(5,904 × 2 + 4,096 × 0.5 + 1,000 × 8) × 1/2 a million',
    usd: '0.010928',
  },
  {
    name: 'flex, rounded up to a nanodollar',
    model: 'gpt-5-nano',
    reply: {
      service_tier: 'flex',
      usage: { prompt_tokens: 1, completion_tokens: 0, total_tokens: 1, prompt_tokens_details: { cached_tokens: 1 } },
    },
    worked: '(1 × 0.005) × 1/2 a million',
    usd: '0.000000003',
  },
  {
    name: 'priority',
    model: 'gpt-4o',
    reply: {
      service_tier: 'priority',
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 500,
        total_tokens: 1_500,
        prompt_tokens_details: { cached_tokens: 200 },
      },
    },
    worked: '(800 × 2.5 + 200 × 1.25 + 500 × 10) × 17/10 a million',
    usd: '0.012325',
  },
  {
    name: 'priority at a factor that is no decimal',
    model: 'gpt-4o-mini',
    reply: { service_tier: 'priority', usage: { prompt_tokens: 1_001, completion_tokens: 500, total_tokens: 1_501 } },
    worked: '(1,001 × 0.15 + 500 × 0.6) × 5/3 a million',
    usd: '0.00075025',
  },
  {
    name: 'priority of a dated model',
    model: 'gpt-4.1-2025-04-14',
    reply: { service_tier: 'priority', usage: { prompt_tokens: 12_345, completion_tokens: 678, total_tokens: 13_023 } },
    worked: '(12,345 × 2 + 678 × 8) × 7/4 a million',
    usd: '0.0526995',
  },
  {
    name: 'priority at two and a half',
    model: 'gpt-5.5',
    reply: { service_tier: 'priority', usage: { prompt_tokens: 1_000, completion_tokens: 1_000, total_tokens: 2_000 } },
    worked: '(1,000 × 5 + 1,000 × 30) × 5/2 a million',
    usd: '0.0875',
  },
  {
    name: 'priority under its new name',
    model: 'gpt-5.4',
    reply: { service_tier: 'fast', usage: { prompt_tokens: 1_000, completion_tokens: 1_000, total_tokens: 2_000 } },
    worked: '(1,000 × 2.5 + 1,000 × 15) × 2 a million',
    usd: '0.035',
  },
  {
    name: 'priority of a model without a published one',
    model: 'gpt-5.6-sol',
    reply: { service_tier: 'priority', usage: { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 } },
    worked: '(1,000 × 4 + 100 × 20) × 3 a million',
    usd: '0.018',
    isEstimate: true,
  },
  {
    name: 'an unknown tier',
    model: 'gpt-4o',
    reply: { service_tier: 'warp', usage: { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 } },
    worked: '(1,000 × 2.5 + 500 × 10) × 3 a million',
    usd: '0.0225',
    isEstimate: true,
  },
  {
    name: 'long context, the last token before it',
    model: 'gpt-5.4',
    reply: { usage: { prompt_tokens: 271_999, completion_tokens: 1_000, total_tokens: 272_999 } },
    worked: '271,999 × 2.5 + 1,000 × 15 a million',
    usd: '0.6949975',
  },
  {
    name: 'long context: the whole call',
    model: 'gpt-5.4',
    reply: { usage: { prompt_tokens: 272_000, completion_tokens: 1_000, total_tokens: 273_000 } },
    worked: '272,000 × 5 + 1,000 × 22.5 a million',
    usd: '1.3825',
  },
  {
    name: 'long context, cached tokens count for the step',
    model: 'gpt-5.5',
    reply: {
      usage: {
        prompt_tokens: 300_000,
        completion_tokens: 2_000,
        total_tokens: 302_000,
        prompt_tokens_details: { cached_tokens: 250_000 },
      },
    },
    worked: '50,000 × 10 + 250,000 × 1 + 2,000 × 45 a million',
    usd: '0.84',
  },
  {
    name: 'long context begins one later',
    model: 'gpt-6-sol',
    reply: { usage: { prompt_tokens: 272_000, completion_tokens: 10, total_tokens: 272_010 } },
    worked: '272,000 × 2 + 10 × 10 a million',
    usd: '0.5441',
  },
  {
    name: 'long context that has begun, with writes',
    model: 'gpt-6-sol',
    reply: {
      usage: {
        prompt_tokens: 272_001,
        completion_tokens: 10,
        total_tokens: 272_011,
        prompt_tokens_details: { cached_tokens: 72_000, cache_write_tokens: 200_000 },
      },
    },
    worked: '1 × 4 + 72,000 × 0.4 + 200,000 × 5 + 10 × 15 a million',
    usd: '1.028954',
  },
  {
    name: 'long context on flex',
    model: 'gpt-5.4',
    reply: { service_tier: 'flex', usage: { prompt_tokens: 400_000, completion_tokens: 500, total_tokens: 400_500 } },
    worked: '(400,000 × 5 + 500 × 22.5) × 1/2 a million',
    usd: '1.005625',
  },
  {
    name: 'a dated name of the same price',
    model: 'gpt-4o-2024-08-06',
    reply: { usage: { prompt_tokens: 700, completion_tokens: 70, total_tokens: 770 } },
    worked: '700 × 2.5 + 70 × 10 a million',
    usd: '0.00245',
  },
  {
    name: 'a dated name of another price',
    model: 'gpt-4o-2024-05-13',
    reply: {
      usage: {
        prompt_tokens: 700,
        completion_tokens: 70,
        total_tokens: 770,
        prompt_tokens_details: { cached_tokens: 512 },
      },
    },
    worked: '188 × 5 + 512 × 5 + 70 × 15 a million',
    usd: '0.00455',
  },
  {
    name: 'fine-tuned',
    model: 'ft:gpt-4o-2024-08-06:acme::abc123',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 } },
    worked: '1,000 × 3.75 + 100 × 15 a million',
    usd: '0.00525',
  },
  {
    name: 'fine-tuned, small',
    model: 'ft:gpt-4o-mini-2024-07-18:acme:bot:x',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100 } },
    worked: '1,000 × 0.3 + 100 × 1.2 a million',
    usd: '0.00042',
  },
  {
    name: 'a price of before it was lowered',
    model: 'o3',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        prompt_tokens_details: { cached_tokens: 500 },
      },
    },
    worked: '500 × 10 + 500 × 0.5 + 100 × 40 a million',
    usd: '0.00925',
    day: '2025-06-09',
  },
  {
    name: 'the same on the day on which it was',
    model: 'o3',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        prompt_tokens_details: { cached_tokens: 500 },
      },
    },
    worked: '500 × 2 + 500 × 0.5 + 100 × 8 a million',
    usd: '0.00205',
    day: '2025-06-10',
  },
  {
    name: "cached tokens in DeepSeek's field",
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        prompt_cache_hit_tokens: 640,
        prompt_cache_miss_tokens: 360,
      },
    },
    worked: '360 × 2.5 + 640 × 1.25 + 100 × 10 a million',
    usd: '0.0027',
  },
  {
    name: "cached tokens in Moonshot's field",
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100, cached_tokens: 512 } },
    worked: '488 × 2.5 + 512 × 1.25 + 100 × 10 a million',
    usd: '0.00286',
  },
  {
    name: 'details that are null',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 15,
        prompt_tokens_details: null,
        completion_tokens_details: null,
      },
    },
    worked: '10 × 2.5 + 5 × 10 a million',
    usd: '0.000075',
  },
  {
    name: 'cached tokens that are null',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 10,
        completion_tokens: 5,
        total_tokens: 15,
        prompt_tokens_details: { cached_tokens: null },
      },
    },
    worked: '10 × 2.5 + 5 × 10 a million',
    usd: '0.000075',
  },
  {
    name: 'cached tokens that are text are not believed',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 5,
        total_tokens: 1_005,
        prompt_tokens_details: { cached_tokens: '900' },
      },
    },
    worked: '1,000 × 2.5 + 5 × 10 a million',
    usd: '0.00255',
    isEstimate: true,
  },
  {
    name: 'more cached than read is not believed',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 5,
        total_tokens: 1_005,
        prompt_tokens_details: { cached_tokens: 2_000 },
      },
    },
    worked: '1,000 × 2.5 + 5 × 10 a million',
    usd: '0.00255',
    isEstimate: true,
  },
  {
    name: 'an unknown part of the input',
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        prompt_tokens_details: { cached_tokens: 0, smell_tokens: 70 },
      },
    },
    worked: '1,000 × 2.5 + 100 × 10 a million, as the total says',
    usd: '0.0035',
  },
  {
    name: 'a total that is more than its parts',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_600 } },
    worked: '1,000 × 2.5 + 100 × 10 + 500 × 10 a million',
    usd: '0.0085',
    isEstimate: true,
  },
  {
    name: "other vendors' fields that are no tokens",
    model: 'gpt-4o',
    reply: {
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        total_tokens: 1_100,
        cost: 0.5,
        num_sources_used: 4,
        queue_time: 0.1,
      },
    },
    worked: '1,000 × 2.5 + 100 × 10 a million',
    usd: '0.0035',
  },
  {
    name: 'nothing at all',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } },
    worked: '0 × 2.5 a million',
    usd: '0',
  },
  {
    name: 'a usage that is missing',
    model: 'gpt-4o',
    reply: {},
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is null',
    model: 'gpt-4o',
    reply: { usage: null },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is text',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: '12', completion_tokens: 3 } },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is half a token',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 1.5, completion_tokens: 3 } },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is negative',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: -3, completion_tokens: 3 } },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is more than a model can read',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 1_000_000_000, completion_tokens: 3 } },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that leaves out the answer',
    model: 'gpt-4o',
    reply: { usage: { prompt_tokens: 12 } },
    worked: 'nothing usable was said',
    usd: null,
  },
]

const RESPONSES: readonly GoldenRow[] = [
  {
    name: 'plain',
    model: 'gpt-5',
    reply: {
      usage: {
        input_tokens: 1_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 500,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 1_500,
      },
    },
    worked: '1,000 × 1.25 + 500 × 10 a million',
    usd: '0.00625',
  },
  {
    name: 'cached and reasoning',
    model: 'gpt-5.1',
    reply: {
      usage: {
        input_tokens: 9_000,
        input_tokens_details: { cached_tokens: 8_192 },
        output_tokens: 3_000,
        output_tokens_details: { reasoning_tokens: 2_560 },
        total_tokens: 12_000,
      },
    },
    worked: '808 × 1.25 + 8,192 × 0.125 + 3,000 × 10 a million',
    usd: '0.032034',
  },
  {
    name: 'two searches; opening a page is free',
    model: 'gpt-5',
    reply: {
      tools: [{ type: 'web_search' }],
      output: [
        { type: 'web_search_call', status: 'completed', action: { type: 'search' } },
        { type: 'web_search_call', status: 'completed', action: { type: 'open_page' } },
        { type: 'web_search_call', status: 'completed', action: { type: 'search' } },
        { type: 'web_search_call', status: 'completed', action: { type: 'find_in_page' } },
        { type: 'message', content: [] },
      ],
      usage: {
        input_tokens: 30_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 700,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 30_700,
      },
    },
    worked: '30,000 × 1.25 + 700 × 10 a million + 2 × 0.01',
    usd: '0.0645',
  },
  {
    name: 'a search without a count of its actions',
    model: 'gpt-4.1',
    reply: {
      tools: [{ type: 'web_search' }],
      output: [{ type: 'web_search_call', status: 'completed' }],
      usage: {
        input_tokens: 500,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 50,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 550,
      },
    },
    worked: '500 × 2 + 50 × 8 a million + 1 × 0.01',
    usd: '0.0114',
  },
  {
    name: 'the older search tool without reasoning',
    model: 'gpt-4o',
    reply: {
      tools: [{ type: 'web_search_preview' }],
      output: [
        { type: 'web_search_call', status: 'completed', action: { type: 'search' } },
        { type: 'message', content: [] },
      ],
      usage: {
        input_tokens: 500,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 50,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 550,
      },
    },
    worked: '500 × 2.5 + 50 × 10 a million + 1 × 0.025',
    usd: '0.02675',
  },
  {
    name: 'the older search tool with reasoning',
    model: 'o4-mini',
    reply: {
      tools: [{ type: 'web_search_preview_2025_03_11' }],
      output: [
        { type: 'web_search_call', status: 'completed', action: { type: 'search' } },
        { type: 'web_search_call', status: 'completed', action: { type: 'search' } },
        { type: 'message', content: [] },
      ],
      usage: {
        input_tokens: 500,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 50,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 550,
      },
    },
    worked: '500 × 1.1 + 50 × 4.4 a million + 2 × 0.01',
    usd: '0.02077',
  },
  {
    name: 'a search where it has no price',
    model: 'o3-pro',
    reply: {
      tools: [{ type: 'web_search' }],
      output: [{ type: 'web_search_call', status: 'completed', action: { type: 'search' } }],
      usage: {
        input_tokens: 500,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 50,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 550,
      },
    },
    worked: '500 × 20 + 50 × 80 a million + 1 × 0.025',
    usd: '0.039',
    isEstimate: true,
  },
  {
    name: 'files searched',
    model: 'gpt-4.1-mini',
    reply: {
      output: [
        { type: 'file_search_call', status: 'completed' },
        { type: 'file_search_call', status: 'completed' },
        { type: 'file_search_call', status: 'completed' },
        { type: 'message', content: [] },
      ],
      usage: {
        input_tokens: 4_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 200,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 4_200,
      },
    },
    worked: '4,000 × 0.4 + 200 × 1.6 a million + 3 × 0.0025',
    usd: '0.00942',
  },
  {
    name: 'searches do not get dearer with the tier',
    model: 'gpt-5',
    reply: {
      service_tier: 'priority',
      tools: [{ type: 'web_search' }],
      output: [{ type: 'web_search_call', status: 'completed', action: { type: 'search' } }],
      usage: {
        input_tokens: 1_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 100,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 1_100,
      },
    },
    worked: '(1,000 × 1.25 + 100 × 10) × 2 a million + 1 × 0.01',
    usd: '0.0145',
  },
  {
    name: 'flex',
    model: 'gpt-5-mini',
    reply: {
      service_tier: 'flex',
      usage: {
        input_tokens: 1_001,
        input_tokens_details: { cached_tokens: 512 },
        output_tokens: 33,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 1_034,
      },
    },
    worked: '(489 × 0.25 + 512 × 0.025 + 33 × 2) × 1/2 a million',
    usd: '0.000100525',
  },
  {
    name: 'priority at nine fifths',
    model: 'gpt-5-mini',
    reply: {
      service_tier: 'priority',
      usage: {
        input_tokens: 1_001,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 33,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 1_034,
      },
    },
    worked: '(1,001 × 0.25 + 33 × 2) × 9/5 a million',
    usd: '0.00056925',
  },
  {
    name: 'written to the cache',
    model: 'gpt-5.6-sol',
    reply: {
      usage: {
        input_tokens: 5_000,
        input_tokens_details: { cached_tokens: 1_000, cache_write_tokens: 3_207 },
        output_tokens: 100,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 5_100,
      },
    },
    worked: '793 × 4 + 1,000 × 0.4 + 3,207 × 5 + 100 × 20 a million',
    usd: '0.021607',
  },
  {
    name: 'written to the cache in a long context',
    model: 'gpt-5.6-terra',
    reply: {
      usage: {
        input_tokens: 300_000,
        input_tokens_details: { cached_tokens: 100_000, cache_write_tokens: 200_000 },
        output_tokens: 100,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 300_100,
      },
    },
    worked: '100,000 × 0.4 + 200,000 × 5 + 100 × 18 a million',
    usd: '1.0418',
  },
  {
    name: 'a price of before it was lowered',
    model: 'gpt-5.6-terra',
    reply: {
      usage: {
        input_tokens: 1_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 1_000,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 2_000,
      },
    },
    worked: '1,000 × 2.5 + 1,000 × 15 a million',
    usd: '0.0175',
    day: '2026-07-29',
  },
  {
    name: 'an unknown field of tokens',
    model: 'gpt-5',
    reply: {
      usage: {
        input_tokens: 1_000,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 100,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 1_100,
        thought_tokens: 40,
      },
    },
    worked: '1,000 × 1.25 + 100 × 10 a million, as the total says',
    usd: '0.00225',
  },
  {
    name: 'a usage that is null',
    model: 'gpt-5',
    reply: { usage: null },
    worked: 'nothing usable was said',
    usd: null,
  },
]

const COMPLETIONS: readonly GoldenRow[] = [
  {
    name: 'plain',
    model: 'gpt-3.5-turbo-instruct',
    reply: { usage: { prompt_tokens: 100, completion_tokens: 16, total_tokens: 116 } },
    worked: '100 × 1.5 + 16 × 2 a million',
    usd: '0.000182',
  },
  {
    name: 'an old model',
    model: 'davinci',
    reply: { usage: { prompt_tokens: 1_500, completion_tokens: 50, total_tokens: 1_550 } },
    worked: '1,500 × 20 + 50 × 20 a million',
    usd: '0.031',
  },
  {
    name: 'without an answer',
    model: 'gpt-3.5-turbo-instruct-0914',
    reply: { usage: { prompt_tokens: 7, completion_tokens: 0, total_tokens: 7 } },
    worked: '7 × 1.5 a million',
    usd: '0.0000105',
  },
]

const EMBEDDINGS: readonly GoldenRow[] = [
  {
    name: 'small',
    model: 'text-embedding-3-small',
    reply: { usage: { prompt_tokens: 8_191, total_tokens: 8_191 } },
    worked: '8,191 × 0.02 a million',
    usd: '0.00016382',
  },
  {
    name: 'large',
    model: 'text-embedding-3-large',
    reply: { usage: { prompt_tokens: 123_457, total_tokens: 123_457 } },
    worked: '123,457 × 0.13 a million',
    usd: '0.01604941',
  },
  {
    name: 'old',
    model: 'text-embedding-ada-002',
    reply: { usage: { prompt_tokens: 5 } },
    worked: '5 × 0.1 a million',
    usd: '0.0000005',
  },
  {
    name: 'a total that is more',
    model: 'text-embedding-3-small',
    reply: { usage: { prompt_tokens: 100, total_tokens: 150 } },
    worked: '100 × 0.02 + 50 × 0.02 a million',
    usd: '0.000003',
    isEstimate: true,
  },
  {
    name: 'a usage that is missing',
    model: 'text-embedding-3-small',
    reply: { data: [] },
    worked: 'nothing usable was said',
    usd: null,
  },
]

const MESSAGES: readonly GoldenRow[] = [
  {
    name: 'plain',
    model: 'claude-sonnet-4-5',
    reply: { usage: { input_tokens: 1_000, output_tokens: 500 } },
    worked: '1,000 × 3 + 500 × 15 a million',
    usd: '0.0105',
  },
  {
    name: 'a dated name',
    model: 'claude-sonnet-4-5-20250929',
    reply: { usage: { input_tokens: 1_000, output_tokens: 500, service_tier: 'standard' } },
    worked: '1,000 × 3 + 500 × 15 a million',
    usd: '0.0105',
  },
  {
    name: 'read from the cache: the input excludes it',
    model: 'claude-sonnet-4-5',
    reply: { usage: { input_tokens: 1_000, cache_read_input_tokens: 100_000, output_tokens: 500 } },
    worked: '1,000 × 3 + 100,000 × 0.3 + 500 × 15 a million',
    usd: '0.0405',
  },
  {
    name: 'written for five minutes',
    model: 'claude-sonnet-4-5',
    reply: {
      usage: {
        input_tokens: 10,
        cache_creation_input_tokens: 2_000,
        cache_creation: { ephemeral_5m_input_tokens: 2_000, ephemeral_1h_input_tokens: 0 },
        output_tokens: 20,
      },
    },
    worked: '10 × 3 + 2,000 × 3.75 + 20 × 15 a million',
    usd: '0.00783',
  },
  {
    name: 'written for an hour',
    model: 'claude-sonnet-4-5',
    reply: {
      usage: {
        input_tokens: 10,
        cache_creation_input_tokens: 2_000,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 2_000 },
        output_tokens: 20,
      },
    },
    worked: '10 × 3 + 2,000 × 6 + 20 × 15 a million',
    usd: '0.01233',
  },
  {
    name: 'written for both, and read',
    model: 'claude-opus-4-1',
    reply: {
      usage: {
        input_tokens: 21,
        cache_read_input_tokens: 18_886,
        cache_creation_input_tokens: 704,
        cache_creation: { ephemeral_5m_input_tokens: 148, ephemeral_1h_input_tokens: 556 },
        output_tokens: 393,
      },
    },
    worked: '21 × 15 + 18,886 × 1.5 + 148 × 18.75 + 556 × 30 + 393 × 75 a million',
    usd: '0.077574',
  },
  {
    name: 'written, without a duration',
    model: 'claude-3-5-haiku-20241022',
    reply: { usage: { input_tokens: 5, cache_creation_input_tokens: 1_000, output_tokens: 7 } },
    worked: '5 × 0.8 + 1,000 × 1 + 7 × 4 a million',
    usd: '0.001032',
  },
  {
    name: 'written, reported in the parts only',
    model: 'claude-haiku-4-5',
    reply: {
      usage: {
        input_tokens: 5,
        cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
        output_tokens: 7,
      },
    },
    worked: '5 × 1 + 100 × 1.25 + 200 × 2 + 7 × 5 a million',
    usd: '0.000565',
  },
  {
    name: 'parts that are more than their sum',
    model: 'claude-haiku-4-5',
    reply: {
      usage: {
        input_tokens: 5,
        cache_creation_input_tokens: 100,
        cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
        output_tokens: 7,
      },
    },
    worked: '5 × 1 + 100 × 1.25 + 200 × 2 + 7 × 5 a million',
    usd: '0.000565',
  },
  {
    name: 'an odd write price',
    model: 'claude-3-haiku-20240307',
    reply: {
      usage: {
        input_tokens: 11,
        cache_read_input_tokens: 19,
        cache_creation_input_tokens: 17,
        cache_creation: { ephemeral_5m_input_tokens: 17, ephemeral_1h_input_tokens: 0 },
        output_tokens: 13,
      },
    },
    worked: '11 × 0.25 + 17 × 0.3 + 19 × 0.03 + 13 × 1.25 a million',
    usd: '0.00002467',
  },
  {
    name: 'a cache read at a fortieth',
    model: 'claude-fable-5-1',
    reply: { usage: { input_tokens: 100, cache_read_input_tokens: 100_000, output_tokens: 100 } },
    worked: '100 × 10 + 100,000 × 0.25 + 100 × 50 a million',
    usd: '0.031',
  },
  {
    name: 'a cache read at a twentieth',
    model: 'claude-opus-5-5',
    reply: {
      usage: {
        input_tokens: 100,
        cache_read_input_tokens: 100_000,
        cache_creation_input_tokens: 50,
        cache_creation: { ephemeral_5m_input_tokens: 50, ephemeral_1h_input_tokens: 0 },
        output_tokens: 100,
      },
    },
    worked: '100 × 4 + 100,000 × 0.2 + 50 × 5 + 100 × 20 a million',
    usd: '0.02265',
  },
  {
    name: 'without prices for a cache',
    model: 'claude-2',
    reply: { usage: { input_tokens: 100, cache_read_input_tokens: 50, output_tokens: 10 } },
    worked: '100 × 8 + 50 × 8 + 10 × 24 a million',
    usd: '0.00144',
  },
  {
    name: 'cache counts that are null',
    model: 'claude-sonnet-5',
    reply: {
      usage: {
        input_tokens: 100,
        cache_read_input_tokens: null,
        cache_creation_input_tokens: null,
        output_tokens: 10,
        cache_creation: null,
        server_tool_use: null,
        service_tier: null,
      },
    },
    worked: '100 × 2 + 10 × 10 a million',
    usd: '0.0003',
  },
  {
    name: 'long context, the last token before it',
    model: 'claude-sonnet-4-5',
    reply: { usage: { input_tokens: 100_000, cache_read_input_tokens: 100_000, output_tokens: 1_000 } },
    worked: '100,000 × 3 + 100,000 × 0.3 + 1,000 × 15 a million',
    usd: '0.345',
  },
  {
    name: 'long context: cached tokens count for the step',
    model: 'claude-sonnet-4-5',
    reply: {
      usage: {
        input_tokens: 1,
        cache_read_input_tokens: 150_000,
        cache_creation_input_tokens: 50_000,
        cache_creation: { ephemeral_5m_input_tokens: 40_000, ephemeral_1h_input_tokens: 10_000 },
        output_tokens: 1_000,
      },
    },
    worked: '1 × 6 + 150,000 × 0.6 + 40,000 × 7.5 + 10,000 × 12 + 1,000 × 22.5 a million',
    usd: '0.532506',
  },
  {
    name: 'long context while it was dearer',
    model: 'claude-opus-4-6',
    reply: { usage: { input_tokens: 250_000, output_tokens: 100 } },
    worked: '250,000 × 10 + 100 × 37.5 a million',
    usd: '2.50375',
    day: '2026-03-12',
  },
  {
    name: 'long context since it is not',
    model: 'claude-opus-4-6',
    reply: { usage: { input_tokens: 250_000, output_tokens: 100 } },
    worked: '250,000 × 5 + 100 × 25 a million',
    usd: '1.2525',
    day: '2026-03-13',
  },
  {
    name: 'thinking is output',
    model: 'claude-opus-4-8',
    reply: { usage: { input_tokens: 100, output_tokens: 2_000, output_tokens_details: { thinking_tokens: 1_800 } } },
    worked: '100 × 5 + 2,000 × 25 a million',
    usd: '0.0505',
  },
  {
    name: 'three searches; fetching is free',
    model: 'claude-opus-5',
    reply: {
      usage: {
        input_tokens: 20_000,
        output_tokens: 800,
        server_tool_use: { web_search_requests: 3, web_fetch_requests: 5 },
      },
    },
    worked: '20,000 × 5 + 800 × 25 a million + 3 × 0.01',
    usd: '0.15',
  },
  {
    name: 'a search where it has no price',
    model: 'claude-3-opus-20240229',
    reply: {
      usage: {
        input_tokens: 100,
        output_tokens: 10,
        server_tool_use: { web_search_requests: 1, web_fetch_requests: 0 },
      },
    },
    worked: '100 × 15 + 10 × 75 a million + 1 × 0.025',
    usd: '0.02725',
    isEstimate: true,
  },
  {
    name: 'the batch tier is half',
    model: 'claude-sonnet-4-5',
    reply: { usage: { input_tokens: 1_001, output_tokens: 333, service_tier: 'batch' } },
    worked: '(1,001 × 3 + 333 × 15) × 1/2 a million',
    usd: '0.003999',
  },
  {
    name: 'the priority tier at most costs the standard',
    model: 'claude-sonnet-4-5',
    reply: { usage: { input_tokens: 1_000, output_tokens: 500, service_tier: 'priority' } },
    worked: '1,000 × 3 + 500 × 15 a million',
    usd: '0.0105',
    isEstimate: true,
  },
  {
    name: 'fast, six times',
    model: 'claude-opus-4-6',
    reply: { usage: { input_tokens: 1_000, cache_read_input_tokens: 500, output_tokens: 100, speed: 'fast' } },
    worked: '(1,000 × 5 + 500 × 0.5 + 100 × 25) × 6 a million',
    usd: '0.0465',
  },
  {
    name: 'fast, twice',
    model: 'claude-opus-4-8',
    reply: { usage: { input_tokens: 1_000, output_tokens: 100, speed: 'fast' } },
    worked: '(1,000 × 5 + 100 × 25) × 2 a million',
    usd: '0.015',
  },
  {
    name: 'fast, where it is not published',
    model: 'claude-opus-5-5',
    reply: { usage: { input_tokens: 1_000, output_tokens: 100, speed: 'fast' } },
    worked: '(1,000 × 4 + 100 × 20) × 6 a million',
    usd: '0.036',
    isEstimate: true,
  },
  {
    name: 'kept in the US',
    model: 'claude-opus-4-6',
    reply: { usage: { input_tokens: 1_003, output_tokens: 101, inference_geo: 'us' } },
    worked: '(1,003 × 5 + 101 × 25) × 11/10 a million',
    usd: '0.008294',
  },
  {
    name: 'anywhere',
    model: 'claude-opus-4-6',
    reply: { usage: { input_tokens: 1_003, output_tokens: 101, inference_geo: 'global', speed: 'standard' } },
    worked: '1,003 × 5 + 101 × 25 a million',
    usd: '0.00754',
  },
  {
    name: 'fast and in the US',
    model: 'claude-opus-5',
    reply: { usage: { input_tokens: 1_003, output_tokens: 101, inference_geo: 'us', speed: 'fast' } },
    worked: '(1,003 × 5 + 101 × 25) × 22/10 a million',
    usd: '0.016588',
  },
  {
    name: 'compacted on the way: beside the totals',
    model: 'claude-opus-4-6',
    reply: {
      usage: {
        input_tokens: 23_000,
        output_tokens: 1_000,
        iterations: [
          { type: 'compaction', input_tokens: 180_000, output_tokens: 3_500 },
          { type: 'message', input_tokens: 23_000, output_tokens: 1_000 },
        ],
      },
    },
    worked: '203,000 × 5 + 4,500 × 25 a million',
    usd: '1.1275',
  },
  {
    name: 'steps of an unknown kind',
    model: 'claude-opus-4-6',
    reply: {
      usage: {
        input_tokens: 100,
        output_tokens: 10,
        iterations: [
          { type: 'message', input_tokens: 100, output_tokens: 10 },
          { type: 'oracle', input_tokens: 30, output_tokens: 20 },
        ],
      },
    },
    worked: '100 × 5 + 10 × 25 a million, and what the claim adds',
    usd: '0.00075',
    isEstimate: true,
  },
  {
    name: 'an unknown field of tokens, which may be a part of the others',
    model: 'claude-haiku-4-5',
    reply: { usage: { input_tokens: 100, output_tokens: 10, dream_tokens: 7 } },
    worked: '100 × 1 + 10 × 5 a million, and what the claim adds',
    usd: '0.00015',
    isEstimate: true,
  },
  {
    name: 'a count that is text',
    model: 'claude-haiku-4-5',
    reply: { usage: { input_tokens: 100, cache_read_input_tokens: '12', output_tokens: 10 } },
    worked: '100 × 1 + 10 × 5 a million',
    usd: '0.00015',
    isEstimate: true,
  },
  {
    name: 'a usage without an answer',
    model: 'claude-haiku-4-5',
    reply: { usage: { input_tokens: 5 } },
    worked: 'nothing usable was said',
    usd: null,
  },
  {
    name: 'a usage that is a list',
    model: 'claude-haiku-4-5',
    reply: { usage: [] },
    worked: 'nothing usable was said',
    usd: null,
  },
]

/** By provider and route. */
export const GOLDEN: readonly { provider: 'openai' | 'anthropic'; path: string; rows: readonly GoldenRow[] }[] = [
  { provider: 'openai', path: '/chat/completions', rows: CHAT_COMPLETIONS },
  { provider: 'openai', path: '/responses', rows: RESPONSES },
  { provider: 'openai', path: '/completions', rows: COMPLETIONS },
  { provider: 'openai', path: '/embeddings', rows: EMBEDDINGS },
  { provider: 'anthropic', path: '/messages', rows: MESSAGES },
]
