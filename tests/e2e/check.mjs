// Opens each VRM in headless Chromium with three-vrm, moves everything a viewer would see move, and says what does not.
// usage: node check.mjs OUT FILE.vrm...      exit status 1 if any check failed
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';
import validator from 'gltf-validator';
import { PNG } from 'pngjs';

const HERE = import.meta.dirname;
const [OUT, ...FILES] = process.argv.slice(2);
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.vrm': 'model/gltf-binary' };
const VISEMES = ['aa', 'ih', 'ou', 'ee', 'oh'];
const EMOTIONS = ['happy', 'angry', 'sad', 'relaxed', 'surprised'];
const GAZE = ['lookUp', 'lookDown', 'lookLeft', 'lookRight'];
const POSES = {
  armsDown: { leftUpperArm: [0, 0, -70], rightUpperArm: [0, 0, 70] },
  wave: { leftUpperArm: [0, 0, -70], rightUpperArm: [0, 0, 20], rightLowerArm: [0, 0, -110] },
  walk: { leftUpperArm: [30, 0, -65], rightUpperArm: [-30, 0, 65], leftUpperLeg: [-30, 0, 0], rightUpperLeg: [30, 0, 0], rightLowerLeg: [40, 0, 0] },
};
// Smallest visible change, as a share of a picture that shows the head only: 0.05 % is a spot of 11 by 11 pixels.
const VISIBLE = 0.0005;

function serve() {
  const server = http.createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    const match = name.match(/^\/avatar\/(\d+)\.vrm$/);
    const file = match ? FILES[Number(match[1])] : path.join(HERE, path.normalize(name));
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    fs.createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function khronos(file, fail) {
  const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 100 });
  for (const issue of report.issues.messages.filter((m) => m.severity === 0).slice(0, 5)) fail(`Khronos: ${issue.code} ${issue.pointer} ${issue.message}`);
  if (report.issues.numErrors && !report.issues.messages.some((m) => m.severity === 0)) fail(`Khronos: ${report.issues.numErrors} errors`);
  return report.issues;
}

async function look(page, url, save, fail) {
  const call = (name, ...args) => page.evaluate(([f, a]) => window.avatar[f](...a), [name, args]);
  const picture = async (name, view) => {
    const frame = await call('show', view);
    save(name, await call('keep', name));
    return frame;
  };
  const info = await call('load', url);
  await picture('front', {});
  await picture('side', { turn: 90 });
  await picture('back', { turn: 180 });
  for (const [name, pose] of Object.entries(POSES)) {
    await picture(name, { pose });
    if ((await call('difference', 'front', name)).share < 0.005) fail(`the pose ${name} changes nothing`);
  }
  await picture('leftArm', { pose: { leftUpperArm: [0, 0, -60] } });
  const arm = await call('difference', 'front', 'leftArm');
  if (arm.left > 0.02) fail(`moving the left arm changes the right side (${(100 * arm.left).toFixed(1)} % of the pixels)`);

  const frame = await picture('neutral', { framing: 'head' });
  const change = {};
  for (const name of [...VISEMES, 'blink', 'blinkLeft', 'blinkRight', ...EMOTIONS, ...GAZE]) {
    if (!info.expressions.includes(name)) { fail(`no expression ${name}`); continue; }
    await picture(name, { framing: 'head', expressions: { [name]: 1 } });
    change[name] = await call('difference', 'neutral', name, { row: frame.neckRow });
    const d = change[name];
    if (d.share < VISIBLE) fail(`${name} is not visible (${(100 * d.share).toFixed(3)} % of the head's picture changes)`);
    if (d.below > 0.05) fail(`${name} moves the body (${(100 * d.below).toFixed(1)} % of its pixels are below the neck's joint)`);
  }
  await picture('speaking', { framing: 'head', expressions: { aa: 0.6, blink: 0.5, happy: 0.5 } });
  await picture('aa40', { framing: 'head', turn: 40, expressions: { aa: 1 } });
  const eyes = change.blink;
  if (eyes) {
    for (const name of VISEMES) if (change[name] && change[name].y < eyes.y) fail(`${name} moves above the eyes`);
    // The avatar looks at the camera: its left is on the picture's right.
    if (change.blinkLeft && change.blinkLeft.x < eyes.x) fail('blinkLeft moves the right eye');
    if (change.blinkRight && change.blinkRight.x > eyes.x) fail('blinkRight moves the left eye');
    for (const name of GAZE) if (change[name] && Math.abs(change[name].y - eyes.y) > 0.08) fail(`${name} does not move at the eyes`);
  }
  const groups = [VISEMES, EMOTIONS, GAZE, ['blinkLeft', 'blinkRight']];
  for (const group of groups) {
    for (const [i, a] of group.entries()) {
      for (const b of group.slice(i + 1)) {
        if (!change[a] || !change[b]) continue;
        const d = await call('difference', a, b);
        if (d.share < VISIBLE) fail(`${a} and ${b} look the same (${(100 * d.share).toFixed(3)} % differs)`);
      }
    }
  }
  return { ...info, change };
}

// All views of one avatar on one sheet, so that a person can look at them at a glance.
function sheet(pictures, file) {
  const size = 512, step = 256, columns = 7, rows = Math.ceil(pictures.length / columns);
  const out = new PNG({ width: columns * step, height: rows * step });
  pictures.forEach(([, bytes], index) => {
    const source = PNG.sync.read(bytes);
    const x0 = (index % columns) * step, y0 = Math.floor(index / columns) * step;
    for (let y = 0; y < step; y++) {
      for (let x = 0; x < step; x++) {
        for (let c = 0; c < 4; c++) {
          const at = (dy, dx) => source.data[((2 * y + dy) * size + 2 * x + dx) * 4 + c];
          out.data[((y0 + y) * out.width + x0 + x) * 4 + c] = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4;
        }
      }
    }
  });
  fs.writeFileSync(file, PNG.sync.write(out));
}

async function main() {
  fs.mkdirSync(OUT, { recursive: true });
  const server = await serve();
  const browser = await chromium.launch({
    executablePath: BROWSER,
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'],
  });
  const summary = [];
  for (const [index, file] of FILES.entries()) {
    const name = path.basename(file, '.vrm');
    const failures = [], pictures = [];
    const fail = (text) => failures.push(text);
    const page = await browser.newPage({ viewport: { width: 512, height: 512 } });
    page.on('console', (message) => { if (message.type() === 'error') fail(`console: ${message.text()}`); });
    page.on('pageerror', (error) => fail(`page: ${error.message}`));
    let info = {};
    try {
      const issues = await khronos(file, fail);
      await page.goto(`http://127.0.0.1:${server.address().port}/viewer.html`);
      await page.waitForFunction('window.avatar');
      info = await look(page, `/avatar/${index}.vrm`, (label, url) => {
        const bytes = Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');
        pictures.push([label, bytes]);
      }, fail);
      info.khronos = { errors: issues.numErrors, warnings: issues.numWarnings };
    } catch (error) {
      fail(String(error.message ?? error).split('\n')[0]);
    }
    await page.close();
    if (pictures.length) sheet(pictures, path.join(OUT, `${name}.browser.png`));
    fs.writeFileSync(path.join(OUT, `${name}.browser.json`), JSON.stringify({ ...info, failures }, null, 1));
    const size = (fs.statSync(file).size / 1e6).toFixed(1);
    console.log(`${failures.length ? 'FAIL' : 'ok  '} ${name}: ${Math.round(info.triangles ?? 0)} triangles, ${info.drawCalls ?? '?'} draw calls, ${size} MB, Khronos ${info.khronos?.errors ?? '?'} errors`);
    for (const text of failures) console.log(`       ${text}`);
    summary.push(failures.length);
  }
  await browser.close();
  server.close();
  const failed = summary.filter(Boolean).length;
  console.log(`${summary.length - failed} passed, ${failed} failed`);
  process.exit(failed || !summary.length ? 1 : 0);
}

await main();
