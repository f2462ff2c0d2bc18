/** The answers of the simulated providers: one page for each question that an example or a tutorial asks. */
import type { Turn } from '../conformance/turn.ts'

export interface Page {
  /** Found in the user's message. */
  asked: RegExp
  /** The first, then one after each round of tools; the last one stays. */
  turns: Turn[]
}

/** In pieces of a word each, as it would be streamed. */
const says = (text: string, output = 5): Turn => ({
  text: text.match(/\s*\S+/g) ?? [text],
  used: { input: 40, output },
})
const calls = (name: string, given: object): Turn => ({
  calls: [{ name, arguments: [JSON.stringify(given)] }],
  used: { input: 60, output: 20 },
})
const json = (value: object, output?: number): Turn => says(JSON.stringify(value), output)
const page = (asked: RegExp, ...turns: Turn[]): Page => ({ asked, turns })

const SPELLED = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten']
const GERMAN = {
  water: 'Wasser',
  bread: 'Brot',
  house: 'Haus',
  tree: 'Baum',
  river: 'Fluss',
  stone: 'Stein',
  bird: 'Vogel',
  moon: 'Mond',
}
const PAGES = { one: 'Arrival', two: 'Doubt', three: 'Storm', four: 'Rescue', five: 'Home' }

const step = (thought: string, command: string, argument: string) => json({ thought, command, argument })

/** When one text matches several pages, the match that begins last counts, and of equal ones the later page. */
export const BOOK: Page[] = [
  // langchain_chain.py
  page(/three primary colours/, says('red, yellow, blue')),
  page(/three noble gases/, says('helium, neon, argon')),
  page(/three Baltic capitals/, says('Tallinn, Riga, Vilnius')),
  // langchain_tools.py
  page(
    /need 200 nuts/,
    calls('stock', { part: 'nut' }),
    calls('order', { part: 'nut', pieces: 120 }),
    says('There were 80 nuts; 120 more are ordered.'),
  ),
  // langchain_memory.py
  page(/going to Lisbon/, says('Yes, about 22 degrees.')),
  page(/which city did I name/, says('Lisbon.')),
  // langchain_streaming.py
  page(/one line to a customer/, {
    text: ['Your order is on its way. ', 'Yours, jane', '.doe@exam', 'ple.org'],
    used: { input: 40, output: 20 },
  }),
  // langchain_structured.py
  page(/Read this invoice/, json({ number: 'A-17', total: 340.5, items: ['two chairs', 'one table'] }, 30)),
  // langchain_rag.py
  page(/thirty days of holidays.*\nQuestion: How many days/, says('Thirty.')),
  page(/broken laptops are replaced.*\nQuestion: Who replaces/, says('The service desk.')),
  // langgraph_review.py
  page(/Write a slogan/, says('Bread of the finest quality in the whole region')),
  page(/Improve the slogan/, says('Warm bread, every day')),
  page(/is 'Bread of the finest/, says('bad')),
  page(/is 'Warm bread/, says('good')),
  // langgraph_budget.py
  page(/Note 1 about tides/, says('The moon pulls the sea.', 120)),
  page(/Note 2 about tides/, says('There are two tides a day.', 120)),
  page(/Note 3 about tides/, says('The sun helps a little.', 120)),
  page(/Sum up in five words: The moon/, says('Moon and sun pull seas')),
  // openai_tools.py
  page(/40 EUR in USD/, calls('exchange_rate', { source: 'EUR', target: 'USD' }), says('40 EUR are 50 USD.')),
  // openai_async.py
  ...SPELLED.map((word, index) => page(new RegExp(`the number ${index + 1} in English`), says(word))),
  // anthropic_stream.py
  page(/one to five in Spanish/, says('uno, dos, tres, cuatro, cinco')),
  // anthropic_tools.py
  page(
    /Invite our designer/,
    calls('invite', { who: 'mia.lind@example.org', hour: 15 }),
    says('She is invited for 15:00.'),
  ),
  // multi_provider.py
  page(/why the sky is blue/, says('Air scatters blue light most.')),
  page(/why the sea is blue/, says('Water absorbs red light first.')),
  // autogpt_goal.py
  page(/Step 1: begin/, step('Which shops are there?', 'list_shops', '')),
  page(/Step 2: the result/, step('North first.', 'read_sales', 'North')),
  page(/Step 3: the result/, step('Now South.', 'read_sales', 'South')),
  page(/Step 4: the result/, step('And West.', 'read_sales', 'West')),
  page(/Step 5: the result/, step('South sold most.', 'write_report', 'South sold most: 340.')),
  page(/Step 6: the result/, step('All is done.', 'finish', '')),
  // autogpt_constrained.py
  page(/Tea, step/, json({ command: 'search', argument: 'tea' }, 90)),
  page(/Tea, step 3/, json({ command: 'delete_files', argument: 'all' }, 90)),
  // crewai_crew.py
  page(/outline of an article about bees/, says('1. Dance. 2. Honey. 3. Winter.')),
  page(/Write the article from the outline/, says('Bees dance, make honey and huddle in winter.')),
  // crewai_research.py
  page(/how high is the Brocken/, calls('look_up', { name: 'Brocken' }), says('The Brocken is 1141 metres high.')),
  // crewai_staged_budgets.py
  page(/three names for a boat/, says('Heron, Marlin, Kestrel', 60)),
  page(/Choose the best name/, says('Kestrel', 60)),
  page(/one line for the boat's stern/, says('Kestrel, swift and light', 60)),
  // pattern_cost_downgrade.py
  page(/Describe the town/, says('A town by the water with a market, two bridges and much wind.', 110)),
  // pattern_circuit_breaker.py
  page(/Which town is warmest/, says('Nice')),
  // pattern_protect.py
  page(/Idea \d+ for a birthday party/, says('A treasure hunt through the garden.', 80)),
  page(/Which of these \d+ ideas/, says('The treasure hunt.')),
  // pattern_pii.py
  page(/Answer this letter/, says('We call you at +1 415 733 2671 or write to maria@example.org.')),
  // pattern_rate_limit.py
  ...Object.entries(GERMAN).map(([word, german]) => page(new RegExp(`German word for ${word},`), says(german))),
  // pattern_secret_rotation.py
  page(/Thank a customer.*Ada/, says('Thank you for sailing, Ada.')),
  page(/Thank a customer.*Grace/, says('Fair winds to you, Grace.')),
  // pattern_checkpoint.py
  ...Object.entries(PAGES).map(([name, word]) => page(new RegExp(`Sum up page ${name} `), says(word))),

  // tutorials
  page(/bedtime story about a lighthouse/, says('A lighthouse counted ships until it fell asleep.', 20)),
  page(/Whom do I write to for a guided tour/, {
    text: ['Write to Ann Berg, ann.be', 'rg@museum.example', '.org, please.'],
    used: { input: 40, output: 20 },
  }),
  page(/open on Friday/, calls('opening_hours', { day: 'Friday' }), says('From ten to six.')),
  page(/When does the museum open/, says('The museum opens at ten.')),
  page(/Is there a café/, says('Yes, with a view of the harbor.')),
  page(/Look into notes\.txt/, calls('Read', { file_path: 'notes.txt' }), {
    text: ['Write to Ann Berg, ann.be', 'rg@museum.example', '.org. It is open from ten.'],
    used: { input: 40, output: 20 },
  }),
]
