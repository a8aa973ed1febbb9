// The page's script in one piece, and the licences of what is in it: `node viewer/bundle.mjs` prints {script, packages: [{name,
// version, licence, text}]} as JSON. tools/build_viewer.py calls it and makes the page.
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const HERE = import.meta.dirname;
const made = await build({
  absWorkingDir: HERE, entryPoints: ['src/main.js'], bundle: true, minify: true, write: false, metafile: true, format: 'esm', target: 'es2022',
  legalComments: 'none', charset: 'utf8', loader: { '.json': 'json' },
});
const folders = new Set(Object.keys(made.metafile.inputs).map((file) => file.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1]).filter(Boolean));
const read = (folder, names) => names.map((name) => path.join(HERE, 'node_modules', folder, name)).find((file) => fs.existsSync(file));
const packages = [...folders].sort().map((folder) => {
  const about = JSON.parse(fs.readFileSync(read(folder, ['package.json']), 'utf8'));
  const licence = read(folder, ['LICENSE', 'LICENSE.md', 'LICENCE']);
  return { name: about.name, version: about.version, licence: about.license, text: licence ? fs.readFileSync(licence, 'utf8').trim() : '' };
});
process.stdout.write(JSON.stringify({ script: made.outputFiles[0].text, packages }));
