/** Whether the last of `count` digits is the Luhn check digit of the others, which are not all zero. */
export function passesLuhn(digits: ArrayLike<number>, count = digits.length): boolean {
  let sum = 0
  for (let i = 0; i < count; i++) {
    const digit = digits[count - 1 - i] as number
    const weighted = i % 2 === 1 ? digit * 2 : digit
    sum += weighted > 9 ? weighted - 9 : weighted
  }
  return sum > 0 && sum % 10 === 0
}
