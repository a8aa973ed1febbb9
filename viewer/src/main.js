// The page: what it shows, and what its buttons do.
import * as THREE from 'three';
import { Stage } from './stage.js';
import { readAvatar, readClip } from './avatar.js';
import { Life } from './life.js';
import { cues, track, sampled, VISEMES } from './speech.js';
import { visemesOf, Listener } from './sound.js';
import { showExpressions, showFigures, showCard, setTexts, t } from './panel.js';

const $ = (id) => document.getElementById(id);
const about = JSON.parse($('about').textContent.trim() || '{}');
const dark = matchMedia('(prefers-color-scheme: dark)');
const SIDE = 334; // what the panel covers, in pixels
let stage = null, avatar = null, life = null, audio = null, last = performance.now(), pick = null;

function layout() {
  const narrow = innerWidth <= 760, folded = document.body.classList.contains('folded');
  stage.resize(innerWidth, innerHeight, narrow || folded ? 0 : SIDE);
  if (avatar) stage.frame(avatar.box, avatar.head, stage.framed);
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  stage.disc.material.uniforms.tone.value.set(name === 'dark' ? 0x6a747e : 0xffffff);
  stage.disc.material.uniforms.strength.value = name === 'dark' ? 0.6 : 0.85;
  stage.shadow.material.opacity = name === 'dark' ? 0.4 : 0.2;
}

let hide;
function say(text, stays = false) {
  $('message').textContent = t(text);
  $('message').hidden = !text;
  clearTimeout(hide);
  if (text && !stays) hide = setTimeout(() => { $('message').hidden = true; }, 6000);
}

const attempt = (work) => async (...given) => {
  try { return await work(...given); } catch (error) { console.warn(error); say(error.message || String(error)); return null; }
};

// ---- the avatar

// base64 of a gzip file -> bytes
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error('The avatar is no longer served; open it again from Blender.');
  return answer.arrayBuffer();
}

async function show(bytes, name, report = null) {
  const next = await readAvatar(bytes);
  silence();
  life?.stopClip();
  avatar?.dispose();
  avatar = next;
  life = new Life(avatar, stage.camera);
  stage.scene.add(avatar.vrm.scene, life.target);
  for (const id of ['idle', 'blinks', 'follow']) life[id] = $(id).checked;
  life.tPose = $('tpose').checked;
  $('name').textContent = name || avatar.name || 'Avatar';
  document.title = $('name').textContent;
  const figures = avatar.figures();
  $('caption').textContent = `VRM ${figures.version} · ${(figures.size / 1e6).toFixed(1)} MB · ${figures.triangles.toLocaleString('en')} ${t('triangles')}`;
  showExpressions($('expressions'), avatar.expressions, life.manual);
  showFigures($('figures'), figures);
  showCard($('card'), report);
  stage.framed = 'body';
  layout();
  chooseView('body');
}

// ---- speech

function silence() {
  life?.hush();
  if (life) life.listener = null;
  audio?.source?.stop();
  audio?.stream?.getTracks().forEach((each) => each.stop());
  audio?.context.close();
  audio = null;
  $('hush').disabled = true;
  $('heard').hidden = true;
  $('microphone').classList.remove('on');
}

function speak(text) {
  silence();
  const spoken = cues(text);
  if (!spoken.length) return say('There is nothing to say in the text; type words in Latin letters or kana.');
  if (!VISEMES.some((name) => avatar.expressions.includes(name))) return say('The avatar has no visemes to speak with.');
  $('hush').disabled = false;
  return life.say(track(spoken, 0.1));
}

async function speakSound(file) {
  silence();
  const context = new AudioContext();
  audio = { context };
  let buffer;
  try { buffer = await context.decodeAudioData(await file.arrayBuffer()); } catch { silence(); throw new Error(`The sound ${file.name} cannot be read; choose a WAV file.`); }
  const heard = await visemesOf(buffer);
  if (audio?.context !== context) return null; // something else was started meanwhile
  audio.source = context.createBufferSource();
  audio.source.buffer = buffer;
  audio.source.connect(context.destination);
  const start = context.currentTime + 0.1;
  audio.source.start(start);
  life.say(sampled(heard.weights, heard.step), () => context.currentTime - start);
  $('hush').disabled = false;
  $('heard').textContent = `${file.name}, ${heard.duration.toFixed(1)} s`;
  $('heard').hidden = false;
  return heard;
}

async function listen() {
  const listening = !!audio?.stream;
  silence();
  if (listening) return;
  if (!navigator.mediaDevices?.getUserMedia) throw new Error('This browser gives no microphone to a page that was opened as a file.');
  let stream;
  try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch { throw new Error('The microphone is not available; allow it in the browser and try again.'); }
  const context = new AudioContext({ sampleRate: 16000 }), analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(stream).connect(analyser);
  audio = { context, stream };
  life.listener = new Listener(analyser);
  $('microphone').classList.add('on');
  $('hush').disabled = false;
}

// ---- clips

const clips = new Map(); // name -> bytes, or a function that unpacks them

async function playClip(name) {
  const given = clips.get(name), bytes = typeof given === 'function' ? await given() : given;
  life.play(await readClip(bytes.slice(0), avatar), name);
  showClips();
}

function stopClip() { life.stopClip(); showClips(); }

function showClips() {
  $('clips').replaceChildren(...[...clips.keys()].map((name) => {
    const button = document.createElement('button');
    button.textContent = t(name);
    button.classList.toggle('on', life?.clipName === name);
    button.onclick = attempt(() => (life.clipName === name ? stopClip() : playClip(name)));
    return button;
  }));
  $('stopclip').disabled = !life?.clipName;
}

// ---- files

const open = attempt(async (file) => {
  const kind = file.name.toLowerCase().split('.').pop();
  if (kind === 'vrm' || kind === 'glb') return show(await file.arrayBuffer(), '');
  if (!avatar) throw new Error('Open a .vrm file first.');
  if (kind === 'vrma') {
    const name = file.name.replace(/\.vrma$/i, '');
    clips.set(name, await file.arrayBuffer());
    return playClip(name);
  }
  return speakSound(file);
});

function choose(kinds) {
  $('file').accept = kinds;
  $('file').value = '';
  $('file').click();
}

function chooseView(what) {
  stage.framed = what;
  for (const button of document.querySelectorAll('[data-view]')) button.classList.toggle('on', button.dataset.view === what);
  if (avatar) stage.frame(avatar.box, avatar.head, what);
}

function connect() {
  $('speak').onsubmit = (event) => { event.preventDefault(); if (avatar) speak($('sentence').value); };
  $('sound').onclick = () => choose('.wav,audio/*');
  $('animation').onclick = () => choose('.vrma');
  $('microphone').onclick = attempt(listen);
  $('hush').onclick = silence;
  $('stopclip').onclick = stopClip;
  $('file').onchange = () => { if ($('file').files[0]) open($('file').files[0]); };
  for (const id of ['idle', 'blinks', 'follow']) $(id).onchange = () => { if (life) life[id] = $(id).checked; };
  $('tpose').onchange = () => { if (life) { life.tPose = $('tpose').checked; stopClip(); } };
  $('light').oninput = () => stage.turnLight(Number($('light').value));
  $('ground').onchange = () => stage.setGround($('ground').checked);
  $('turn').onchange = () => { stage.controls.autoRotate = $('turn').checked; };
  $('theme').onclick = () => theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
  $('fold').onclick = () => { document.body.classList.toggle('folded'); layout(); };
  for (const button of document.querySelectorAll('[data-view]')) button.onclick = () => chooseView(button.dataset.view);
  addEventListener('keydown', (event) => { if (event.key === 'p' && event.target.tagName !== 'INPUT') $('fold').click(); });
  addEventListener('resize', layout);
  addEventListener('pointermove', (event) => {
    const side = document.body.classList.contains('folded') || innerWidth <= 760 ? 0 : SIDE, width = innerWidth - side;
    if (life) life.pointer = new THREE.Vector2((2 * event.clientX) / width - 1, 1 - (2 * event.clientY) / innerHeight);
  });
  document.documentElement.addEventListener('pointerleave', () => { if (life) life.pointer = null; });
  addEventListener('dragover', (event) => { event.preventDefault(); $('drop').hidden = false; });
  addEventListener('dragleave', (event) => { if (!event.relatedTarget) $('drop').hidden = true; });
  addEventListener('drop', (event) => { event.preventDefault(); $('drop').hidden = true; if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]); });
  dark.addEventListener('change', () => theme(dark.matches ? 'dark' : 'light'));
}

function frame(now) {
  requestAnimationFrame(frame);
  const delta = Math.min((now - last) / 1000, 0.1);
  last = now;
  if (life) {
    life.update(delta);
    if (!life.speaking && !$('hush').disabled) silence();
  }
  stage.render();
}

async function start() {
  setTexts(document);
  try {
    stage = new Stage($('stage'));
  } catch {
    document.body.classList.add('folded'); // no button of the panel would do anything
    $('views').hidden = true;
    say('This browser cannot draw the avatar because WebGL is off; turn on hardware acceleration in its settings, or use another browser.', true);
    return;
  }
  theme(dark.matches ? 'dark' : 'light');
  $('licences').textContent = $('licence-texts').textContent.trim();
  connect();
  layout();
  requestAnimationFrame(frame);
  const embedded = $('avatar').textContent.trim();
  if (!embedded && !about.source) { $('drop').hidden = false; return; }
  say('Reading the avatar…', true);
  for (const clip of about.clips ?? []) clips.set(clip.name, () => unpacked(clip.data));
  await show(embedded ? await unpacked(embedded) : await fetched(about.source), about.name, about.report);
  showClips();
  say('');
  document.documentElement.dataset.state = 'ready';
}

const ready = attempt(start)();
// For tests, and for whoever scripts the page.
window.viewer = { ready, open, speak, playClip, stopClip, chooseView, theme, cues, track, visemesOf, say, get life() { return life; }, get avatar() { return avatar; }, stage };
