// The model, its tokenizer, and the page around them. The names are those of Python: model.py, sampling/decoder.py,
// sampling/generation.py, training/tokenizer.py.
"use strict"
const $ = id => document.getElementById(id)
const facts = JSON.parse($("facts").textContent)
const {config, constants} = facts

// --- text to token ids and back ---

const tokens = facts.tokens.map(atob)  // a character for each byte
const ranks = new Map(tokens.map((token, id) => [token, id]))
const eot_token = tokens.length
const bytesOf = token => Uint8Array.from(token, char => char.charCodeAt(0))

function encode(text) {
  const ids = [], utf8 = new TextEncoder()
  const whole = new TextDecoder("utf-8", {ignoreBOM: true}).decode(utf8.encode(text))  // without halves of characters
  for (const [piece] of whole.matchAll(new RegExp(facts.pattern, "gu"))) {
    let bytes = ""
    for (const byte of utf8.encode(piece)) bytes += String.fromCharCode(byte)
    if (ranks.has(bytes)) ids.push(ranks.get(bytes))
    else for (const part of mergePairs(bytes)) ids.push(ranks.get(part))
  }
  return ids
}

function mergePairs(bytes) {  // byte pair encoding: the first pair of the lowest rank becomes one part, and again
  const rankOf = (part, next) => next === undefined ? Infinity : ranks.get(part + next) ?? Infinity
  let parts = [...bytes], pairs = parts.map((part, i) => rankOf(part, parts[i + 1]))
  for (;;) {
    const lowest = pairs.reduce((a, b) => a < b ? a : b, Infinity), newParts = [], newPairs = []
    if (lowest === Infinity) return parts
    let isLowest = true  // until joining two makes a pair of a lower rank, which is to come first
    for (let i = 0; i < parts.length; i++) {
      let part = parts[i], pair = pairs[i]
      if (isLowest && pair === lowest) {
        part += parts[++i]
        pair = rankOf(part, parts[i + 1])
        const last = newParts.length - 1
        if (last >= 0) newPairs[last] = rankOf(newParts[last], part)
        isLowest = pair >= lowest && !(newPairs[last] < lowest)
      }
      newParts.push(part)
      newPairs.push(pair)
    }
    parts = newParts
    pairs = newPairs
  }
}

// --- the model ---

const FLOAT16 = Float32Array.from({length: 1 << 16}, (_, half) => {  // the value of each; none is infinite
  const exponent = half >> 10 & 31, fraction = half & 1023
  return (half >> 15 ? -1 : 1) * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24)
})
const CHUNK = 1 << 20  // characters of base64 at once
let model

function readModel() {
  const text = $("weights")?.textContent ?? ""
  if (text.length !== facts.weights) throw new Error("This file is incomplete. Copy it again, or ask for it again.")
  const bytes = new Uint8Array(3 * text.length / 4 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0))
  for (let at = 0, to = 0; at < text.length; at += CHUNK) {
    const part = atob(text.slice(at, at + CHUNK))
    for (let i = 0; i < part.length; i++) bytes[to++] = part.charCodeAt(i)
  }
  const {n_embd: C, n_layer, vocab_size, table_rows} = config
  let at = table_rows * C
  const halves = new Uint16Array(bytes.buffer)
  const next = n => Float32Array.from(halves.subarray(at, at += n), half => FLOAT16[half])
  const layers = Array.from({length: n_layer}, () => (
    {qkv: next(3 * C * C), toStream: next(C * C), up: next(4 * C * C), down: next(4 * C * C)}))
  model = {table: halves.subarray(0, table_rows * C), layers, head: next(vocab_size * C)}
}

function multiply(matrix, x, y) {  // y becomes matrix times x
  const n = x.length
  for (let row = 0, at = 0; row < y.length; row++) {
    let a = 0, b = 0, i = 0  // two sums, of which one does not wait for the other
    for (; i < n; i += 2, at += 2) {
      a += matrix[at] * x[i]
      b += matrix[at + 1] * x[i + 1]
    }
    y[row] = a + b
  }
}

function normalize(x, y, from = 0, n = x.length) {  // to a root mean square of one
  let sum = 0
  for (let i = from; i < from + n; i++) sum += x[i] * x[i]
  const scale = Math.sqrt(n) / (Math.sqrt(sum) + constants.epsilon)
  for (let i = from; i < from + n; i++) y[i] = x[i] * scale
}

function softmax(x) {
  const most = x.reduce((a, b) => a > b ? a : b), p = Float64Array.from(x, value => Math.exp(value - most))
  const sum = p.reduce((a, b) => a + b)
  return p.map(value => value / sum)
}

const HASH_STEP = BigInt(constants.hash_step), HASH_MIX = BigInt(constants.hash_mix)
const extendNgram = (code, before) => code * HASH_STEP + BigInt(before) + 2n
const matchCode = (rank, length, followed) => (
  (BigInt(rank - constants.matches) * HASH_STEP + BigInt(length)) * HASH_STEP + BigInt(followed))
const hashToRow = code => (
  config.vocab_size + Number(code * HASH_MIX >> 33n & 0x7FFFFFFFn) % (config.table_rows - config.vocab_size))

class Decoder {
  constructor() {
    const {n_embd: C, n_layer, block_size, vocab_size} = config, floats = n => new Float32Array(n)
    this.ring = Array.from({length: n_layer}, () => ({keys: floats(block_size * C), values: floats(block_size * C)}))
    this.recent = []  // the last block_size tokens
    this.runs = []  // how long each matches the last
    this.length = 0
    Object.assign(this, {x: floats(C), normed: floats(C), qkv: floats(3 * C), mixed: floats(C), added: floats(C),
                         wide: floats(4 * C), scores: new Float64Array(block_size), logits: floats(vocab_size)})
  }

  read(token) {
    const {n_embd: C, n_head, block_size} = config, {x, normed, qkv, mixed, added, wide} = this
    const place = this.length % block_size, n = Math.min(this.length + 1, block_size), hs = C / n_head
    x.fill(0)
    for (const row of this.rows(token)) for (let i = 0; i < C; i++) x[i] += FLOAT16[model.table[row * C + i]]
    normalize(x, x)
    for (const [i, layer] of model.layers.entries()) {
      const {keys, values} = this.ring[i]
      normalize(x, normed)
      multiply(layer.qkv, normed, qkv)
      for (let from = 0; from < 2 * C; from += hs) {
        if (config.qk_norm) normalize(qkv, qkv, from, hs)
        this.turn(qkv, from)
      }
      keys.set(qkv.subarray(C, 2 * C), place * C)
      values.set(qkv.subarray(2 * C), place * C)
      for (let from = 0; from < C; from += hs) this.attend(qkv, keys, values, n, from, hs)
      multiply(layer.toStream, mixed, added)
      for (let j = 0; j < C; j++) x[j] += added[j]
      normalize(x, normed)
      multiply(layer.up, normed, wide)
      for (let j = 0; j < wide.length; j++) wide[j] = Math.max(wide[j], 0) ** 2
      multiply(layer.down, wide, added)
      for (let j = 0; j < C; j++) x[j] += added[j]
    }
    this.length++
  }

  next() {  // the logits of the token that follows
    normalize(this.x, this.normed)
    multiply(model.head, this.normed, this.logits)
    return this.logits
  }

  turn(x, from) {  // rotary positions
    for (const [i, frequency] of constants.frequency.entries()) {
      const angle = this.length * frequency, cos = Math.cos(angle), sin = Math.sin(angle), at = from + 2 * i
      const a = x[at], b = x[at + 1]
      x[at] = a * cos - b * sin
      x[at + 1] = a * sin + b * cos
    }
  }

  attend(q, keys, values, n, from, hs) {  // one head's channels of `mixed`
    const {scores, mixed} = this, C = config.n_embd, scale = hs ** -0.5
    let most = -Infinity, total = 0
    for (let j = 0; j < n; j++) {
      let score = 0
      for (let i = from, at = j * C + from; i < from + hs; i++, at++) score += q[i] * keys[at]
      scores[j] = score * scale
      if (scores[j] > most) most = scores[j]
    }
    mixed.fill(0, from, from + hs)
    for (let j = 0; j < n; j++) total += scores[j] = Math.exp(scores[j] - most)
    for (let j = 0; j < n; j++) {
      const share = scores[j] / total
      for (let i = from, at = j * C + from; i < from + hs; i++, at++) mixed[i] += share * values[at]
    }
  }

  rows(token) {  // of the table, for a token after what was read
    const codes = [BigInt(token) + 1n]
    const n = Math.min(config.ngram_order, config.block_size)  // training saw no longer n-gram
    for (let i = 1; i < config.ngram_order; i++) {
      codes.push(extendNgram(codes[i - 1], i < n ? this.recent.at(-i) ?? -1 : -1))
    }
    const matches = this.match(token)
    return [token, ...codes.slice(1).concat(matches).map(hashToRow)]
  }

  match(token) {  // codes of the tokens that followed the best matches of what ends at the last token
    const {recent, runs} = this, {match_order} = config
    if (recent.length === config.block_size) { recent.shift(); runs.shift() }
    recent.push(token)
    const last = recent.length - 1
    for (let i = last; i >= 0; i--) {
      runs[i] = recent[i] === token ? Math.min(i && runs[i - 1], match_order - 1) + 1 : 0
    }
    const codes = [], used = new Set()
    for (let rank = 0; match_order && rank < constants.matches; rank++) {
      let best = -1, longest = 0  // the longest, and of those the last
      for (let i = 0; i < last; i++) {
        const length = Math.min(runs[i], i + 1)  // a match ends where the context does
        if (length && length >= longest && !used.has(i)) [best, longest] = [i, length]
      }
      used.add(best)
      codes.push(matchCode(rank, longest, best < 0 ? -1 : recent[best + 1]))
    }
    return codes
  }
}

// --- writing ---

function candidates(logits, settings, seen) {  // {ids, p}: the tokens to choose among, the likeliest first
  const {temperature, top_k, top_p, min_p, repetition_penalty: penalty} = settings
  const values = Float32Array.from(logits)
  for (const id of penalty === 1 ? [] : seen) values[id] *= values[id] > 0 ? 1 / penalty : penalty
  const k = temperature === 0 ? 1 : Math.min(top_k || values.length, values.length)
  const least = Float32Array.from(values).sort()[values.length - k]
  const ids = [...values.keys()].filter(id => values[id] >= least).sort((a, b) => values[b] - values[a]).slice(0, k)
  if (k === 1) return {ids, p: [1]}
  const p = softmax(ids.map(id => (values[id] - values[ids[0]]) / temperature))
  let before = 0
  const n = p.filter(share => (before += share) - share < top_p && share >= min_p * p[0]).length
  return {ids: ids.slice(0, n), p: p.slice(0, n)}
}

function choose({ids, p}) {
  let left = Math.random() * p.reduce((a, b) => a + b)
  return ids.find((_, i) => (left -= p[i]) < 0) ?? ids.at(-1)
}

function* generate(prompt, settings) {  // null for each token that is read, then each token that is written
  const decoder = new Decoder()
  for (const id of prompt.slice(-config.block_size)) {
    decoder.read(id)
    yield null
  }
  for (let n = 0; n < settings.max_new_tokens; n++) {
    const seen = new Set(decoder.recent)
    seen.delete(eot_token)
    const token = choose(candidates(decoder.next(), settings, seen))
    if (token === eot_token) return
    yield token
    decoder.read(token)
  }
}

const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g  // core/text.py

function* write(prompt, settings) {  // {isWritten, text} for each token
  const decoder = new TextDecoder("utf-8", {ignoreBOM: true})
  for (const token of generate([eot_token, ...encode(prompt)], settings)) {
    const text = token === null ? "" : decoder.decode(bytesOf(tokens[token]), {stream: true})
    yield {isWritten: token !== null, text: text.replace(CONTROL, "")}
  }
}

// --- the page ---

const SLIDERS = {  // least, most, step, name, meaning
  temperature: [0, 2, 0.05, "Temperature", "Lower is more predictable, higher more varied"],
  max_new_tokens: [10, 1000, 10, "Length", "In tokens of about three letters"],
  top_k: [0, 200, 1, "Top k", "Choose among this many of the most likely tokens; 0: all"],
  top_p: [0.05, 1, 0.05, "Top p", "And among the most likely ones that together reach this probability"],
  min_p: [0, 0.5, 0.01, "Min p", "And among those with at least this share of the highest probability"],
  repetition_penalty: [1, 2, 0.05, "Repetition penalty", "Above 1, earlier tokens recur less"],
}
const SLICE_MS = 12  // of work; in between, the page answers
const MOST_ANSWERS = 10  // that stay on the page, the newest first
let round = 0  // counts the clicks: earlier ones are no longer wanted

function make(name, className, text = "") {
  return Object.assign(document.createElement(name), {className, textContent: text})
}

function addSliders() {
  for (const [name, [min, max, step, title, meaning]] of Object.entries(SLIDERS)) {
    const row = make("div", "slider"), label = make("label", "", title), shown = make("span", "")
    const input = Object.assign(make("input", ""), {type: "range", id: name, min, max, step})
    const note = Object.assign(make("small", "", meaning), {id: name + "-note"})
    label.htmlFor = name
    shown.setAttribute("aria-hidden", "true")  // screen readers read the slider's value
    input.setAttribute("aria-describedby", note.id)
    input.value = facts.settings[name]
    input.oninput = () => { shown.textContent = Number(input.value) }
    input.oninput()
    row.append(label, shown, input, note)
    $("sliders").append(row)
  }
}

function say(text, isError = false) {
  $("state").textContent = text
  $("state").classList.toggle("error", isError)
}

async function answer(prompt, settings) {
  const mine = ++round, text = make("p", "text"), began = performance.now()
  text.dir = "auto"
  text.append(make("span", "prompt", prompt), document.createTextNode(""))
  $("answers").prepend(text)
  text.scrollIntoView({block: "nearest"})
  if ($("answers").children.length > MOST_ANSWERS) $("answers").lastElementChild.remove()
  $("halt").disabled = false
  say("Reading…")
  let n = 0, sliceBegan = began
  for (const step of write(prompt, settings)) {
    text.lastChild.data += step.text
    if (step.isWritten && !n++) say("Writing…")
    if (performance.now() - sliceBegan > SLICE_MS) {
      await new Promise(resolve => setTimeout(resolve))
      if (mine !== round) return
      sliceBegan = performance.now()
    }
  }
  $("halt").disabled = true
  const rate = Math.round(1000 * n / (performance.now() - began)).toLocaleString("en-GB")
  say(n ? `${n} ${n === 1 ? "token" : "tokens"}, ${rate} per second` : "The model ended the text immediately.")
}

$("form").onsubmit = event => {
  event.preventDefault()
  const prompt = $("prompt").value, {most_prompt_chars: most} = facts, number = n => n.toLocaleString("en-GB")
  if (prompt.length > most) {
    say(`The beginning has ${number(prompt.length)} characters; expected at most ${number(most)}. The model sees only ` +
        "its end, so remove the first part.", true)
  } else {
    answer(prompt, Object.fromEntries(Object.keys(SLIDERS).map(name => [name, Number($(name).value)])))
  }
}
$("halt").onclick = () => {
  round++
  $("halt").disabled = true
  say("Stopped.")
  $("go").focus()
}
$("prompt").onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("go").click()
}

say("Opening the model…")
$("go").disabled = $("halt").disabled = true
$("sliders").replaceChildren()  // a browser saves a page as it is, with its sliders and answers
addSliders()
$("settings").open = matchMedia("(min-width: 60rem)").matches
$("prompt").value = facts.prompt
document.addEventListener("DOMContentLoaded", () => {
  try {
    readModel()
    $("go").disabled = false
    say("")
  } catch (error) {
    say(error.message, true)
  }
})
