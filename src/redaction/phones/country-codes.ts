/** Country calling codes in use (except 1) and the number of digits of their national numbers, by ITU-T E.164. */

/** Minimum and maximum digits of the national number: the codes. Short service numbers are omitted. */
const CODES_BY_LENGTH: Record<string, string> = {
  '4-5': '290',
  '5-5': '500 682',
  '5-6': '247',
  '5-7': '676 677 678 688',
  '5-8': '686',
  '6-6': '298 299 672 687',
  '6-7': '597 683 690',
  '6-8': '386 47',
  '6-9': '252 355 376 40 421 508 681 689',
  '5-10': '685',
  '6-10': '27 48 53 64 880 95 98',
  '6-11': '31 352 375 595 852',
  '6-12': '358 359 381 39 43 46 598 61 63 82 971',
  '6-13': '49',
  '7-7': '238 239 246 248 269 291 297 592 673 674 680 691 692',
  '7-8': '241 599 670 675 853 961 965 975',
  '7-9': '220 231 245 265 354 385 423 967 968',
  '7-10': '230 243 254 263 267 353 372 44 84 960',
  '7-11': '501 503 507 679 886 974',
  '7-12': '62 86 882 90 972',
  '8-8': '216 222 223 226 227 228 232 235 236 253 257 266 350 356 357 370 371 373 374 389 45 505 509 800 808 973 993',
  '8-9': '213 224 233 237 250 258 264 268 32 36 377 382 387 51 591 962 963',
  '8-10': '20 229 378 506 60 850 855 856 964 970 976',
  '8-11': '502 504 55 57 593 65 977',
  '8-12': '383 66 81 883 91 92',
  '9-9': '211 212 218 221 240 242 244 249 251 255 256 260 261 262 33 34 351 590 594 596 93 94 979 992 994 995 998',
  '9-10': '380 881 966 996',
  '9-11': '56',
  '9-12': '41 420 870',
  '10-10': '225 58',
  '10-11': '52 54',
  '10-12': '234 30 7',
  '11-11': '888',
  '12-12': '878',
}

const LENGTHS: ({ min: number; max: number } | undefined)[] = []
for (const [range, codes] of Object.entries(CODES_BY_LENGTH)) {
  const [min = 0, max = 0] = range.split('-').map(Number)
  for (const code of codes.split(' ')) LENGTHS[Number(code)] = { min, max }
}

/** Returns the length of national numbers of a country code; undefined when no country has the code. */
export function nationalLengths(countryCode: number): { min: number; max: number } | undefined {
  return LENGTHS[countryCode]
}
