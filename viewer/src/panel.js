// What the panel lists: expressions, figures, the report card; and the page's language.
import JA from './ja.json';

const TEXTS = (navigator.language ?? '').startsWith('ja') ? JA : {};
export const t = (text) => TEXTS[text] ?? text;

export function setTexts(root) {
  if (TEXTS === JA) root.documentElement.lang = 'ja';
  for (const node of root.querySelectorAll('[data-t]')) node.textContent = t(node.textContent.trim());
  for (const node of root.querySelectorAll('[data-t-title]')) node.title = t(node.title);
}

const GROUPS = [
  ['Emotions', ['happy', 'angry', 'sad', 'relaxed', 'surprised'], true],
  ['Visemes', ['aa', 'ih', 'ou', 'ee', 'oh'], false],
  ['Eyelids', ['blink', 'blinkLeft', 'blinkRight'], false],
  ['Gaze', ['lookUp', 'lookDown', 'lookLeft', 'lookRight'], false],
];

function element(tag, text = '', more = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  return Object.assign(made, more);
}

// Sliders that write into `weights`.
export function showExpressions(place, names, weights) {
  const known = new Set(['neutral', ...GROUPS.flatMap(([, group]) => group)]);
  const groups = [...GROUPS, ['Custom', names.filter((name) => !known.has(name)), false]];
  place.replaceChildren();
  for (const [title, wanted, opened] of groups) {
    const there = wanted.filter((name) => names.includes(name));
    if (!there.length) continue;
    const group = element('details', '', { className: 'group', open: opened });
    group.append(element('summary', `${t(title)} (${there.length})`), ...there.map((name) => slider(name, weights)));
    place.append(group);
  }
  if (!place.children.length) place.append(element('p', t('The avatar has no expressions.'), { className: 'note' }));
  const reset = element('button', t('Reset'));
  reset.onclick = () => {
    for (const input of place.querySelectorAll('input')) { input.value = 0; input.dispatchEvent(new Event('input')); }
  };
  const row = element('div', '', { className: 'row' });
  row.append(reset);
  place.append(row);
}

function slider(name, weights) {
  const label = element('label', '', { className: 'slider', title: name }), output = element('output', '0');
  const input = element('input', '', { type: 'range', min: 0, max: 1, step: 0.01, value: 0, name });
  input.oninput = () => {
    weights[name] = Number(input.value);
    output.textContent = input.value === '0' ? '0' : Number(input.value).toFixed(2);
  };
  label.append(element('span', name), input, output);
  return label;
}

export function showFigures(place, figures) {
  const rows = {
    Triangles: figures.triangles.toLocaleString('en'), 'Draw calls': figures.draws, 'File size': `${(figures.size / 1e6).toFixed(1)} MB`,
    Height: `${figures.height.toFixed(2)} m`, 'Humanoid bones': figures.bones, Expressions: figures.expressions, 'Spring joints': figures.springs,
  };
  place.replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [element('dt', t(name)), element('dd', String(value))]));
}

export function showCard(place, report) {
  const checks = report?.checks ?? [], order = { FAIL: 0, WARN: 1, PASS: 2 };
  place.hidden = !checks.length;
  if (!checks.length) return;
  const count = (status) => checks.filter((check) => check.status === status).length;
  const words = [['FAIL', 'failed'], ['WARN', 'to check'], ['PASS', 'passed']];
  place.querySelector('summary').textContent = `${t('Checks')}: ${words.filter(([status]) => count(status)).map(([status, word]) => `${count(status)} ${t(word)}`).join(', ')}`;
  place.open = count('FAIL') > 0;
  const sorted = [...checks].sort((a, b) => order[a.status] - order[b.status]);
  place.querySelector('ul').replaceChildren(...sorted.map((check) => element('li', `${check.title}: ${check.figure}`, { className: check.status, title: check.meaning ?? '' })));
}
