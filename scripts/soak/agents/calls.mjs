// An agent that makes calls, and uses a service, one after the other until it is ended; with an argument it crashes by
// itself after about so many seconds.
const [crashAfterS] = process.argv.slice(2)
if (crashAfterS) setTimeout(() => process.exit(1), Number(crashAfterS) * (500 + Math.random() * 1_000))
const post = (url, body) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent' },
    body: JSON.stringify(body),
  }).then((response) => response.text())
const services = process.env.OPENAI_BASE_URL.replace('/openai/v1', '/services')
for (let number = 1; ; number++) {
  const call = { model: 'penny', max_tokens: 5, stream: number % 3 === 0, messages: [{ role: 'user', content: 'Go.' }] }
  // A server that is being killed does not answer.
  await post(`${process.env.OPENAI_BASE_URL}/chat/completions`, call).catch(() => undefined)
  if (number % 2 === 0)
    await fetch(`${services}/flapping/${number % 50}`)
      .then((r) => r.text())
      .catch(() => undefined)
  if (number % 20 === 0) console.log(`call ${number}`)
}
