// Opens the viewer's page of an avatar in headless Chromium, presses what a user would press, and says what does not happen.
// usage: node page.mjs OUT PAGE.html ADDRESS CLIP.vrma SPEECH.json      exit status 1 if any check failed
// ADDRESS: the same avatar's page on the loopback server; SPEECH.json: sentences and what Python makes of them (run.py).
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { PNG } from 'pngjs';

const [OUT, PAGE, ADDRESS, CLIP, SPEECH] = process.argv.slice(2);
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const VISEMES = ['aa', 'ih', 'ou', 'ee', 'oh'];
const SIZE = { width: 820, height: 560 };
const SIDE = 334; // the panel's width, as in viewer/src/main.js
const VISIBLE = 0.001, ALIKE = 0.0005; // shares of the avatar's part of the picture
const FALLEN = 0.05; // metres that a foot may leave the ground in a clip
const SUNK = 0.001; // metres that a sole may lie below it

const failures = [];
const fail = (text) => failures.push(text);
let shots = 0;

async function opened(browser, address) {
  const page = await browser.newPage({ viewport: SIZE, locale: 'en-US' });
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) fail(`console: ${message.text()}`); });
  page.on('pageerror', (error) => fail(`page: ${error.message}`));
  page.on('request', (request) => {
    const own = request.url().startsWith(address) || /^(blob|data):/.test(request.url());
    if (!own) fail(`the page asks for ${request.url().slice(0, 100)}`);
  });
  await page.goto(address);
  await page.waitForSelector('html[data-state=ready]', { timeout: 60000 });
  if (await page.locator('#message').isVisible()) fail(`the page says: ${await page.locator('#message').textContent()}`);
  return page;
}

// The avatar's part of the window as it is drawn now.
async function picture(page, name) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const bytes = await page.screenshot(name ? { path: path.join(OUT, `page-${++shots}-${name}.png`) } : {});
  return PNG.sync.read(bytes);
}

// Pixels left of the panel that differ: their share, and their mean row (0..1 from the top).
function difference(a, b) {
  let count = 0, y = 0;
  for (let row = 0; row < a.height; row++) {
    for (let column = 0; column < SIZE.width - SIDE; column++) {
      const i = (row * a.width + column) * 4;
      if (Math.max(...[0, 1, 2].map((c) => Math.abs(a.data[i + c] - b.data[i + c]))) <= 24) continue;
      count++; y += row / a.height;
    }
  }
  return { share: count / (a.height * (SIZE.width - SIDE)), y: y / Math.max(count, 1) };
}

const slide = (page, name, value) => page.locator(`#expressions input[name="${name}"]`).evaluate((input, to) => {
  input.value = to;
  input.dispatchEvent(new Event('input'));
}, value);

async function mouth(page) {
  await page.getByRole('button', { name: 'Face', exact: true }).click();
  for (const id of ['idle', 'blinks', 'follow']) await page.locator(`#${id}`).uncheck();
  await page.evaluate(() => { for (let k = 0; k < 60; k++) viewer.life.update(0.1); }); // the head comes to rest
  const still = await picture(page, 'face');
  const again = difference(still, await picture(page));
  if (again.share > 0) fail(`the avatar moves although nothing should (${(100 * again.share).toFixed(2)} %)`);
  await slide(page, 'blink', 1);
  const eyes = difference(still, await picture(page, 'blink'));
  await slide(page, 'blink', 0);
  if (eyes.share < VISIBLE) fail('blink is not visible');
  const seen = {};
  for (const name of VISEMES) {
    await slide(page, name, 1);
    seen[name] = await picture(page, name);
    await slide(page, name, 0);
    const changed = difference(still, seen[name]);
    if (changed.share < VISIBLE) fail(`${name} is not visible (${(100 * changed.share).toFixed(3)} %)`);
    if (changed.y < eyes.y) fail(`${name} moves above the eyes`);
  }
  for (const [k, a] of VISEMES.entries()) {
    for (const b of VISEMES.slice(k + 1)) if (difference(seen[a], seen[b]).share < ALIKE) fail(`${a} and ${b} look the same`);
  }
}

async function speaks(page) {
  await page.locator('#sentence').fill('Hello! I am your companion.');
  await page.locator('#speak button').click();
  const most = await page.evaluate((names) => {
    const found = Object.fromEntries(names.map((name) => [name, 0]));
    for (let k = 0; k < 400 && viewer.life.speaking; k++) {
      viewer.life.update(0.02);
      for (const name of names) found[name] = Math.max(found[name], viewer.avatar.vrm.expressionManager.getValue(name));
    }
    return { ...found, ended: !viewer.life.speaking };
  }, VISEMES);
  const moved = VISEMES.filter((name) => most[name] > 0.3);
  if (moved.length < 3) fail(`of the visemes only ${moved.join(', ') || 'none'} moved in a sentence`);
  if (!most.ended) fail('the sentence does not end');
}

// The page's rules of speech are a second writing of avatar_addon/speech/text.py.
async function rules(page) {
  const spoken = JSON.parse(fs.readFileSync(SPEECH, 'utf8'));
  const heard = await page.evaluate((sentences) => sentences.map((text) => viewer.cues(text).map((cue) => [cue.viseme, cue.seconds])), Object.keys(spoken));
  for (const [k, [text, wanted]] of Object.entries(spoken).entries()) {
    const same = heard[k].length === wanted.length && wanted.every(([viseme, seconds], j) => heard[k][j][0] === viseme && Math.abs(heard[k][j][1] - seconds) < 1e-9);
    if (!same) fail(`"${text}" is spoken otherwise than in Blender: ${JSON.stringify(heard[k])}, there ${JSON.stringify(wanted)}`);
  }
  return Object.keys(spoken).length;
}

// Plays the clip that is on and measures it in steps of a twentieth of a second, from where the hands were (`from`).
const hands = (page) => page.evaluate(() => ['leftHand', 'rightHand'].map((name) => viewer.avatar.place(name).toArray()));
const measured = (page, from) => page.evaluate((rest) => {
  const { life, avatar } = viewer, found = { seconds: life.clip.duration, hand: 0, mouth: 0, feet: 0, sunk: 0 }, heights = [[], []];
  for (let k = 0; k < life.clip.duration / 0.05; k++) {
    life.update(0.05);
    avatar.vrm.scene.updateMatrixWorld(true);
    ['leftHand', 'rightHand'].forEach((name, side) => { found.hand = Math.max(found.hand, Math.hypot(...avatar.place(name).toArray().map((x, c) => x - rest[side][c]))); });
    ['leftFoot', 'rightFoot'].forEach((name, side) => heights[side].push(avatar.place(name).y));
    found.mouth = Math.max(found.mouth, avatar.vrm.expressionManager.getValue('aa'));
    found.sunk = Math.max(found.sunk, avatar.soles.ground - avatar.soles.height());
  }
  for (const side of heights) found.feet = Math.max(found.feet, Math.max(...side) - Math.min(...side));
  return found;
}, from);

const playing = (page, name) => page.locator('#clips button.on', { hasText: name }).waitFor();

async function plays(page) {
  await page.getByRole('button', { name: 'Body', exact: true }).click();
  const before = await picture(page, 'body'), rest = await hands(page);
  await page.getByRole('button', { name: 'Wave', exact: true }).click();
  await playing(page, 'Wave');
  const found = await measured(page, rest);
  if (found.hand < 0.3) fail(`no hand moves in the clip (${found.hand.toFixed(2)} m)`);
  if (found.feet > FALLEN) fail(`the feet move up or down by ${found.feet.toFixed(2)} m in the clip`);
  if (!(found.sunk < SUNK)) fail(`the soles are ${found.sunk.toFixed(3)} m below the ground in the clip`);
  if (found.mouth < 0.3) fail('the clip says nothing');
  if (difference(before, await picture(page, 'clip')).share < 0.005) fail('the clip changes nothing in the picture');
  await page.locator('#stopclip').click();
  await page.evaluate(() => { for (let k = 0; k < 30; k++) viewer.life.update(0.1); });
  if (difference(before, await picture(page, 'stopped')).share > 0.002) fail('the avatar does not come back from the clip');
  await page.locator('#file').setInputFiles(CLIP);
  await playing(page, path.basename(CLIP, '.vrma'));
  await page.locator('#stopclip').click();
  return found;
}

async function follows(page) {
  await page.locator('#follow').check();
  const aim = async (x, y) => {
    await page.mouse.move(x, y);
    return page.evaluate(() => { for (let k = 0; k < 60; k++) viewer.life.update(0.05); return viewer.life.turn; });
  };
  const left = await aim(20, 280), right = await aim(SIZE.width - SIDE - 20, 280);
  if (!(left.yaw < -0.05 && right.yaw > 0.05)) fail(`the head does not follow the pointer (${left.yaw.toFixed(2)}, ${right.yaw.toFixed(2)})`);
}

// A browser that cannot draw says so instead of showing an empty page.
async function withoutWebGL() {
  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox', '--disable-3d-apis', '--disable-background-networking'] });
  try {
    const page = await browser.newPage({ viewport: SIZE, locale: 'en-US' });
    page.on('pageerror', (error) => fail(`page without WebGL: ${error.message}`));
    await page.goto(pathToFileURL(PAGE).href);
    await page.locator('#message', { hasText: 'WebGL' }).waitFor({ timeout: 30000 });
    await page.screenshot({ path: path.join(OUT, 'page-without-webgl.png') });
  } finally {
    await browser.close();
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: BROWSER,
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'],
  });
  let about = '';
  try {
    const page = await opened(browser, pathToFileURL(PAGE).href);
    const figures = await page.evaluate(() => viewer.avatar.figures());
    if (!(figures.triangles > 1000 && figures.bones >= 15)) fail(`the page's figures are ${JSON.stringify(figures)}`);
    if (!(await page.locator('#card summary').textContent()).includes('passed')) fail('the report card is missing');
    await mouth(page);
    await speaks(page);
    const sentences = await rules(page);
    const clip = await plays(page);
    await follows(page);
    await page.close();
    await (await opened(browser, ADDRESS)).close();
    await withoutWebGL();
    about = `${figures.triangles} triangles, clip of ${clip.seconds.toFixed(1)} s moves a hand by ${clip.hand.toFixed(2)} m, feet by ${(100 * clip.feet).toFixed(1)} cm, ${sentences} sentences spoken as in Blender`;
  } catch (error) {
    fail(String(error.message ?? error).split('\n')[0]);
  }
  await browser.close();
  console.log(`${failures.length ? 'FAIL' : 'ok  '} viewer's page: ${about}`);
  for (const text of failures) console.log(`       ${text}`);
  process.exit(failures.length ? 1 : 0);
}

await main();
