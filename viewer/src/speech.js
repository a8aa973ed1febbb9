// A sentence to lip shapes, by the rules of avatar_addon/speech/text.py: the tables come from there (rules.json, written by
// tools/build_viewer.py), and tests/e2e compares the keys of both for the same sentences.
import RULES from './rules.json';

export const VISEMES = RULES.visemes;
const { shut: SHUT, pause: PAUSE, seconds: S, amount: AMOUNT } = RULES;
const VOWEL_PARTS = Object.keys(RULES.vowels).sort((a, b) => b.length - a.length);
const isVowel = (letter) => letter !== undefined && letter !== '' && 'aeiouy'.includes(letter);
const hasVowel = (text) => [...text].some(isVowel);

// [{viseme, seconds}] in turn; empty where there is nothing to say.
export function cues(text) {
  const out = [];
  let word = '';
  const folded = [...[...text].slice(0, RULES.most).join('').normalize('NFKC').toLowerCase().normalize('NFC')].map(hiragana);
  for (let letter of [...folded, ' ']) {
    if (letter < '\u0250') letter = letter.normalize('NFD').replace(/\p{M}/gu, '');
    if ((letter >= 'a' && letter <= 'z') || ("'’".includes(letter) && word && letter)) { word += letter; continue; }
    if (word) { out.push(...english(word.replace(/['’]/g, ''))); word = ''; }
    if (letter in RULES.pauses) out.push({ viseme: PAUSE, seconds: RULES.pauses[letter] });
    else if (/^\s$/u.test(letter)) { if (out.length && out.at(-1).viseme !== PAUSE) out.push({ viseme: PAUSE, seconds: S.wordGap }); }
    else if (/^\p{Nd}$/u.test(letter)) out.push(...english(RULES.digits[digit(letter)]));
    else addKana(out, letter);
  }
  while (out.length && out.at(-1).viseme === PAUSE) out.pop();
  return out.some((cue) => VISEMES.includes(cue.viseme)) ? out : [];
}

const hiragana = (letter) => (letter >= 'ァ' && letter <= 'ヶ' ? String.fromCodePoint(letter.codePointAt(0) - 0x60) : letter);

// The digits of every script lie in blocks of ten, zero first.
function digit(letter) {
  const code = letter.codePointAt(0);
  let zero = code;
  while (code - zero < 9 && /^\p{Nd}$/u.test(String.fromCodePoint(zero - 1))) zero--;
  return code - zero;
}

function addKana(out, letter) {
  const spoken = out.length > 0 && VISEMES.includes(out.at(-1).viseme);
  const pressed = RULES.kanaPressed.includes(letter) && letter;
  if (RULES.small.includes(letter) && letter && spoken) out[out.length - 1] = { viseme: RULES.kana[letter], seconds: out.at(-1).seconds };
  else if (letter in RULES.kana) {
    if (pressed) out.push({ viseme: SHUT, seconds: S.pressed });
    out.push({ viseme: RULES.kana[letter], seconds: pressed ? S.mora - S.pressed / 2 : S.mora });
  } else if ((letter === 'ー' || letter === '〜') && spoken) out[out.length - 1] = { viseme: out.at(-1).viseme, seconds: out.at(-1).seconds + S.mora };
  else if (letter === 'っ' || letter === 'ん') out.push({ viseme: SHUT, seconds: 0.6 * S.mora });
  else if (letter >= '\u4e00' && letter <= '\u9fff') out.push({ viseme: 'aa', seconds: S.mora }, { viseme: 'ih', seconds: S.mora });
}

function english(word) {
  if (word in RULES.words) return RULES.words[word].split(' ').map((name) => ({ viseme: name, seconds: name === SHUT ? S.pressed : S.vowel }));
  const out = [];
  if (!hasVowel(word)) {
    for (const letter of [...word].slice(0, 12)) {
      if (RULES.presses.includes(letter)) out.push({ viseme: SHUT, seconds: S.pressed });
      out.push({ viseme: 'ih', seconds: S.vowel });
    }
    return out;
  }
  for (let at = 0; at < word.length;) {
    const [part, shapes, seconds] = nextSound(word, at);
    out.push(...shapes.map((viseme) => ({ viseme, seconds })));
    at += part.length;
  }
  return out;
}

// [letters of the next sound, its shapes, the seconds of each]
function nextSound(word, at) {
  const rest = word.slice(at);
  if (rest[0] === 'y' && at === 0 && word.length > 1) return ['y', ['ih'], S.consonant];
  if (isVowel(rest[0])) return nextVowel(word, rest, at);
  if (['gh', 'kn', 'wr'].some((start) => rest.startsWith(start)) && (at > 0 || rest[0] !== 'g')) return [rest.slice(0, 2), [], 0];
  const known = (part) => RULES.presses.includes(part) || part in RULES.rounded || RULES.clusters.includes(part);
  const part = [3, 2, 1].map((size) => rest.slice(0, size)).find(known) ?? rest[0];
  if (RULES.presses.includes(part)) return [part, [SHUT], S.pressed];
  if (part in RULES.rounded) return [part, [RULES.rounded[part]], S.consonant];
  return [part, part.length > 1 || 'szcxt'.includes(part) ? ['ih'] : [], S.consonant];
}

function nextVowel(word, rest, at) {
  if (['e', 'es', 'ed'].includes(rest) && at > 1 && hasVowel(word.slice(0, at))) return [rest, [], 0];
  const magic = (rest.length === 3 || rest.length === 4) && rest[0] in RULES.magicE && !'aeiouywrx'.includes(rest[1]) && rest[2] === 'e';
  if (magic && ['', 's', 'd'].includes(rest.slice(3))) {
    const shapes = RULES.magicE[rest[0]].split(' ');
    return [rest[0], shapes, shapes.length > 1 ? S.long / 2 : S.long];
  }
  let part = VOWEL_PARTS.find((each) => rest.startsWith(each));
  if (part === 'al' && !'lk'.includes(rest[2] ?? '#')) part = 'a';
  if (part === 'y' && at > 0 && word.length <= 3) return ['y', ['aa', 'ih'], S.vowel / 2];
  const shapes = RULES.vowels[part].split(' ');
  return [part, shapes, shapes.length > 1 ? S.long / 2 : part.length > 1 ? S.long : S.vowel];
}

// viseme -> [[seconds, weight]]: each shape is full in its middle, and the next one comes in as it goes.
export function track(spoken, start = 0) {
  const times = [start];
  for (const cue of spoken) times.push(times.at(-1) + cue.seconds);
  const keys = Object.fromEntries(VISEMES.map((name) => [name, [[Math.max(start - 0.08, 0), 0]]]));
  spoken.forEach((cue, k) => {
    const short = cue.seconds < S.vowel / 2;
    for (const name of VISEMES) {
      const weight = cue.viseme === name ? AMOUNT[name] * (short ? 0.35 : 1) : 0;
      if (cue.viseme === PAUSE && cue.seconds > 0.15) keys[name].push([times[k] + 0.06, 0], [times[k + 1] - 0.06, 0]);
      else if (cue.viseme !== PAUSE) keys[name].push([(times[k] + times[k + 1]) / 2, weight]);
    }
  });
  for (const name of VISEMES) keys[name].push([times.at(-1) + 0.1, 0]);
  return keys;
}

// Keys of weights that are given frame by frame.
export function sampled(weights, step) {
  return Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, [...values.map((value, k) => [k * step, value]), [values.length * step, 0]]]));
}

export function valueAt(points, time) {
  let low = 0, high = points.length - 1;
  if (time >= points[high][0]) return points[high][1];
  if (time <= points[0][0]) return points[0][1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= time) low = middle; else high = middle;
  }
  const [[ta, a], [tb, b]] = [points[low], points[high]];
  return a + (b - a) * (tb > ta ? (time - ta) / (tb - ta) : 1);
}

export const length = (keys) => Math.max(0, ...Object.values(keys).map((points) => points.at(-1)?.[0] ?? 0));
