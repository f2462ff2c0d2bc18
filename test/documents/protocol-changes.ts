/** The incompatible changes of a published JSON Schema, by the promise of docs/protocol.md. */
type Schema = { readonly [key: string]: unknown }

/** `sent`: by Iron Cage, to readers of an earlier version. `accepted`: from writers of an earlier version. */
export type Direction = 'sent' | 'accepted'

/** A line for each thing that a program written for `before` would stumble over; none for a change that is compatible. */
export function breaks(before: Schema, after: Schema, direction: Direction): string[] {
  const compare = (one: Schema, other: Schema, path: string): string[] => {
    const [old, now] = [resolved(one, before), resolved(other, after)]
    const [oldOptions, options] = [optionsOf(old), optionsOf(now)]
    if (oldOptions || options) return compareOptions(oldOptions ?? [old], options ?? [now], path)
    return [
      ...typeProblems(old, now, path, direction),
      ...valuesOf(old)
        .filter((value) => valuesOf(now).length > 0 && !valuesOf(now).includes(value))
        .map((value) => `${path}: no longer ${value}`),
      ...requiredProblems(old, now, path, direction),
      ...Object.entries(propertiesOf(old)).flatMap(([name, property]) => {
        const present = propertiesOf(now)[name]
        return present ? compare(property, present, `${path}.${name}`) : [`${path}.${name}: removed`]
      }),
      ...(old.items && now.items ? compare(old.items as Schema, now.items as Schema, `${path}[]`) : []),
    ]
  }
  const compareOptions = (old: readonly Schema[], now: readonly Schema[], path: string): string[] => {
    const nameOf = (option: Schema, index: number) => discriminator(option) ?? `option ${index + 1}`
    const fits = (option: Schema, index: number) => (candidate: Schema) =>
      compare(option, candidate, `${path}(${nameOf(option, index)})`)
    const lost = old.flatMap((option, index) => {
      const type = discriminator(option)
      const same = type === undefined ? now : now.filter((candidate) => discriminator(candidate) === type)
      const found = same.map(fits(option, index))
      if (found.some((problems) => problems.length === 0)) return []
      return found.length === 1 ? found[0]! : [`${path}: ${nameOf(option, index)} fits nothing any more`]
    })
    const isUnion = now.some((option) => discriminator(option) !== undefined)
    const isWider = direction === 'sent' && !isUnion && now.length > old.length
    return isWider ? [...lost, `${path}: may be something else too`] : lost
  }
  return compare(before, after, '$')
}

function resolved(schema: Schema, root: Schema): Schema {
  const path = /^#\/(.+)$/.exec(typeof schema.$ref === 'string' ? schema.$ref : '')?.[1]
  if (path === undefined) return schema
  const found = path.split('/').reduce<unknown>((part, name) => (part as Schema)[decodeURIComponent(name)], root)
  return resolved(found as Schema, root)
}

/** Events of several types with the same data are one option each. */
function optionsOf({ anyOf, oneOf }: Schema): Schema[] | undefined {
  const options = (anyOf ?? oneOf) as readonly Schema[] | undefined
  return options?.flatMap((option): Schema[] => {
    const { type } = propertiesOf(option)
    const types = (type?.enum as readonly unknown[] | undefined) ?? []
    if (types.length === 0) return [option]
    return types.map((one) => ({ ...option, properties: { ...propertiesOf(option), type: { const: one } } }))
  })
}

const propertiesOf = ({ properties = {} }: Schema) => properties as Readonly<Record<string, Schema>>

/** The constant type of an event, which distinguishes the options of a union. */
const discriminator = (schema: Schema) => propertiesOf(schema).type?.const as string | undefined

const valuesOf = ({ const: constant, enum: values }: Schema): readonly unknown[] =>
  constant === undefined ? ((values as unknown[] | undefined) ?? []) : [constant]

const typesOf = ({ type }: Schema): readonly unknown[] => (type === undefined ? [] : [type].flat())

function typeProblems(old: Schema, now: Schema, path: string, direction: Direction): string[] {
  const [from, to] = direction === 'sent' ? [typesOf(now), typesOf(old)] : [typesOf(old), typesOf(now)]
  const isSame = to.length === 0 || (from.length > 0 && from.every((type) => to.includes(type)))
  return isSame ? [] : [`${path}: was ${typesOf(old)}, is ${typesOf(now)}`]
}

function requiredProblems(old: Schema, now: Schema, path: string, direction: Direction): string[] {
  const requiredOf = ({ required = [] }: Schema) => required as readonly string[]
  return direction === 'sent'
    ? requiredOf(old)
        .filter((name) => !requiredOf(now).includes(name))
        .map((name) => `${path}.${name}: no longer always there`)
    : requiredOf(now)
        .filter((name) => !requiredOf(old).includes(name))
        .map((name) => `${path}.${name}: required now`)
}
