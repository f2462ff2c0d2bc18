/** Words that identify a phone number, in the languages that people label phones in. */
import { followsWord, labelBefore } from '../text/digits.ts'
import type { TextWindow } from '../text/text-window.ts'

/** Maximum distance between such a word and an ambiguous number. */
const NEAR = 48
/** Maximum length of a label right before a number. */
const LABEL = 40

/** Nouns, as words or as part of a name (`home_phone`, `phoneNumber`), but not in `microphone` or `iphone`. */
const NOUNS = [
  '(?<!micro|head|ear|saxo|mega|i)phone(?!s(?!:)|ti|m)s?',
  '(?<![a-z])(?:tel|tél|tele|tlf|cel|cell|fon|mob|mobile|mobil|fax|sms|pager|gsm|msisdn|whats ?app|voicemail|handy|ph|contact (?:no|num|number|#))(?![a-z])',
  'tele?foon|tel[eé]fon[eos]?|téléphone|telephon|rufnummer|handynummer|móvil|celular|cellulare|portable :|puhelin|điện thoại|телефон|тел[.:]|моб[.:]',
  'τηλ|טלפון|هاتف|फोन|фон:|电话|電話|手机|手機|携帯|联系方式|전화|휴대폰|연락처',
  'hotline|helpline|toll[- ]?free|(?<![a-z])(?:direct|land|office|business|support|customer|main) ?line(?![a-z])',
].join('|')
/** Verbs for using a phone. `call` and `reach` are also used for programs. */
const VERBS = [
  '(?<![a-z_]|(?:api|function|tool|system|method|rpc|each|per|last|first|the|a) )call(?:ing)?(?![a-z_]|\\(| (?:took|limit|count|id|stack|cost|returned|duration))',
  '(?<![a-z_])(?:dial|reach|ring|contact|wa\\.me)(?![a-z_]|\\()',
  '(?<![a-z_])text(?= (?:me|us|him|her|them|\\d|$))',
  '(?<![a-z])(?:llám\\w*|llam(?:a|e|ar|ame|enos)\\b|appel(?:er|ez)?(?![a-z])|ligue|anrufen|ruf )',
].join('|')
const PHONE_WORD = new RegExp(
  `${NOUNS}|${VERBS}|(?:my|his|her|their|your) (?:[a-z]+ )?number|(?<![a-z])number is|номер`,
)
/** Between the word and the number: the word belongs to something else. */
const OTHER_WORD =
  /(?:\b|_)(?:id|npi|order|account|acct|case|invoice|ref|isbn|serial|ticket|part|sku|policy|member|mrn|ein|zip|code|rows?|bytes|count|total|size|limit)\b[^\d]{0,12}$/

/** Text allowed between a label and its number: `Phone number is: "`. */
const LINK =
  '(?:[ _-]?(?:number|nummer|num|no\\.?|nr\\.?|#|home|work|cell|mobile|番号|号码|号|번호))?[.)]?["\']?(?: is| ist|は|是|为)?[\\s:：=>("\'+]{0,4}$'
const PHONE_LABEL = new RegExp(`(?:${NOUNS})${LINK}`)
const PHONE_CALL = new RegExp(
  `(?:${VERBS})(?:[ -](?:me|us|him|her|them|back|now|moi|nous|at|on|au|al|the|our|to|office|or text|número|le|unter)){0,4}[:：]? ?\\(?$`,
)

/** A phone word is near, without an unrelated word in between. */
export function isPhoneNear(window: TextWindow, start: number): boolean {
  const text = labelBefore(window, start, NEAR)
  return PHONE_WORD.test(text) && !OTHER_WORD.test(text)
}

/** 'label' when an unambiguous phone word is right before a number, 'call' when a verb is. */
export function phoneLabel(window: TextWindow, start: number): 'label' | 'call' | null {
  if (!followsWord(window, start)) return null
  const text = labelBefore(window, start, LABEL)
  if (PHONE_LABEL.test(text)) return 'label'
  return PHONE_CALL.test(text) || /(?:my|his|her|their|your) (?:[a-z]+ )?number is:? ?$/.test(text) ? 'call' : null
}
