// A voice to weights of the visemes, frame by frame, by the rules of backend/speech.py: loudness, and the centroids of two bands of
// the spectrum against the vowels' usual formants. The figures come from there (rules.json). The browser decodes and resamples.
import RULES from './rules.json';

const { rate: RATE, step: STEP, window: WINDOW, first: FIRST, second: SECOND, formants: FORMANTS, spread: SPREAD, range: RANGE, hiss: HISS } = RULES.sound;
const LENGTH = Math.floor(WINDOW * RATE), HOP = Math.floor(STEP * RATE);
const NAMES = Object.keys(FORMANTS);
const HANN = Float64Array.from({ length: LENGTH }, (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / LENGTH));
const TURNS = [0, 1].map((part) => Float64Array.from({ length: LENGTH }, (_, k) => (part ? Math.sin : Math.cos)((2 * Math.PI * k) / LENGTH)));
const BINS = LENGTH / 2 + 1;

// {duration, step, weights: {viseme: [0..1 a frame]}} of an AudioBuffer.
export async function visemesOf(buffer) {
  const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil(buffer.duration * RATE)), RATE);
  const source = offline.createBufferSource();
  source.buffer = buffer;
  source.connect(offline.destination);
  source.start();
  const samples = (await offline.startRendering()).getChannelData(0);
  const frames = [];
  for (let at = 0; at < samples.length; at += HOP) {
    frames.push(look(samples, at - LENGTH / 2));
    if (frames.length % 200 === 0) await new Promise((resume) => setTimeout(resume)); // the avatar goes on breathing
  }
  const levels = frames.map((frame) => frame.level).sort((a, b) => a - b);
  const loudest = quantile(levels, 0.95);
  const rows = frames.map((frame) => open(frame, loudest));
  const weights = Object.fromEntries(NAMES.map((name, k) => [name, smooth(rows.map((row) => row[k]))]));
  return { duration: buffer.duration, step: STEP, weights };
}

// The weights of the voice that is heard now; `loudest` follows it.
export class Listener {
  constructor(analyser) {
    this.analyser = analyser;
    this.samples = new Float32Array(analyser.fftSize);
    this.loudest = -60;
    this.weights = NAMES.map(() => 0);
  }

  now(delta) {
    this.analyser.getFloatTimeDomainData(this.samples);
    const frame = look(this.samples, this.samples.length - LENGTH);
    this.loudest = Math.max(frame.level, this.loudest - 3 * delta, -62); // decibels a second
    const wanted = open(frame, this.loudest), ease = 1 - Math.exp(-delta / 0.04);
    this.weights = this.weights.map((value, k) => value + (wanted[k] - value) * ease);
    return Object.fromEntries(NAMES.map((name, k) => [name, this.weights[k]]));
  }
}

// {level in dB, place: octaves of the two centroids, hiss 0..1} of the frame that begins at `start`.
function look(samples, start) {
  const power = new Float64Array(BINS), frame = new Float64Array(LENGTH);
  for (let k = 0; k < LENGTH; k++) frame[k] = HANN[k] * (samples[start + k] ?? 0);
  const scale = 1 / (RATE * HANN.reduce((sum, value) => sum + value * value, 0));
  for (let bin = 0; bin < BINS; bin++) {
    let re = 0, im = 0, at = 0;
    for (let k = 0; k < LENGTH; k++) {
      re += frame[k] * TURNS[0][at];
      im += frame[k] * TURNS[1][at];
      at += bin;
      if (at >= LENGTH) at -= LENGTH;
    }
    power[bin] = (re * re + im * im) * scale * (bin === 0 || bin === BINS - 1 ? 1 : 2);
  }
  const total = power.reduce((a, b) => a + b, 0);
  const hz = RATE / LENGTH;
  let above = 0;
  for (let bin = Math.floor(HISS / hz) + 1; bin < BINS; bin++) above += power[bin];
  // A voice falls by about 12 dB an octave; without that the second band's centroid would lie at its lower end.
  const place = [centroid(power, hz, FIRST, 0), centroid(power, hz, SECOND, 2)].map(Math.log2);
  return { level: 10 * Math.log10(Math.max(total, 1e-20)), place, hiss: above / Math.max(total, 1e-20) };
}

function centroid(power, hz, [low, high], tilt) {
  let sum = 0, weighted = 0;
  for (let bin = Math.ceil(low / hz); bin * hz <= high; bin++) {
    const part = (power[bin] * (bin * hz) ** tilt) ** 2;
    sum += part;
    weighted += part * bin * hz;
  }
  return sum > 1e-60 ? weighted / sum : low;
}

// The frame's weights in the order of NAMES.
function open({ level, place, hiss }, loudest) {
  const loud = loudest < -100 ? 0 : clip((level - loudest) / RANGE + 1);
  const near = NAMES.map((name) => {
    const [a, b] = FORMANTS[name].map(Math.log2);
    return Math.exp((-0.5 * ((place[0] - a) ** 2 + (place[1] - b) ** 2)) / SPREAD ** 2) ** 2;
  });
  const sum = Math.max(near.reduce((a, b) => a + b, 0), 1e-12);
  const amount = loud * (1 - 0.8 * clip(2 * hiss - 0.4));
  return near.map((value) => (amount * value) / sum);
}

const clip = (value) => Math.min(Math.max(value, 0), 1);

function smooth(row) {
  const kernel = [0, 0.25, 0.5, 0.25, 0]; // a Hann window of five, as its ends are nothing
  return row.map((_, k) => clip(kernel.reduce((sum, part, j) => sum + part * (row[k + j - 2] ?? 0), 0)));
}

function quantile(sorted, share) {
  if (!sorted.length) return 0;
  const at = share * (sorted.length - 1), k = Math.floor(at);
  return sorted[k] + (at - k) * ((sorted[k + 1] ?? sorted[k]) - sorted[k]);
}
