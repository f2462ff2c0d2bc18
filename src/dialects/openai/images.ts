/** OpenAI's image generation by models that count an image as tokens. A fixed price of the configuration replaces it. */
import { CageError } from '../../core/errors.ts'
import { type Format, type ReportedUsage, type StreamReader, TEXT_ONLY } from '../dialect.ts'
import { isObject, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields, unpricedField } from '../request-fields.ts'
import { readOpenAiUsage } from './usage.ts'

export const images: Format = {
  name: 'images',
  yieldsToConfig: true,

  readCall(body) {
    const model = requireModel(body)
    if (body.stream === true) throw unpricedField('stream')
    if (!COUNTED.test(model)) throw unknownSize(model)
    return {
      model,
      stream: false,
      maxOutputTokens: MAX_IMAGE_TOKENS,
      answers: positiveInteger(body, 'n') ?? 1,
      wantsUsage: true,
      demands: { ...TEXT_ONLY, imageOutput: true, unknownFields: readFields(body, FIELDS) },
    }
  },

  // A request has no limit of tokens: the size of an image is one.
  prepare: (body) => body,

  usageOf: ({ usage }) => (isObject(usage) ? readImagesUsage(usage) : undefined),

  readStream(): StreamReader {
    throw new Error('images are never streamed')
  },
}

const FIELDS = fieldsOf(
  ...['prompt', 'n', 'size', 'quality', 'background', 'moderation', 'output_format', 'output_compression', 'style'],
  ...['partial_images', 'response_format'],
)

/** Later models have images of any size. */
const COUNTED = /^gpt-image-1(\.5|-mini)?(-\d{4}-\d\d-\d\d)?$/
/** OpenAI's guide "Image generation" (cost and latency): at most 6,240 for an image; the text beside it is short. */
const MAX_IMAGE_TOKENS = 8_192

const unknownSize = (model: string): CageError =>
  new CageError('price_unknown', `no price is known for an image of "${model}", so the call was not sent`, {
    facts: { model },
    hint: 'to allow it, add "POST /images/generations" with its price under "providers.openai.routes" in the configuration',
  })

/** Such a model's output is all images, unless it reports how much is. */
function readImagesUsage(usage: JsonObject): ReportedUsage | undefined {
  const reported = readOpenAiUsage(usage, undefined)
  return reported && { ...reported, usage: { imageOutput: reported.usage.output, ...reported.usage } }
}
