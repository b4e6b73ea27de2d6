// The snapshot.
// A node is text or { kind, name, told, number, value, nodes, frame }.
const build = (element, into, state) => {
  if (NEVER.has(element.localName) || element.getAttribute('aria-hidden') === 'true') return;
  const style = getComputedStyle(element);
  if (gone(element, style)) return;
  const seen = shown(element, style);
  const kind = seen ? role(element) : '';
  if (element.localName === 'br') return void into.push('\n');
  const inner = [];
  const acted = seen && (ACTED_ON.has(kind) || (!state.acted && clickable(element, style)));
  const below = {
    acted: state.acted || (acted && kind !== 'iframe'),
    // What a label says is the name of what it labels.
    labels: state.labels || (element.localName === 'label' && !!element.control),
    depth: state.depth + 1,
  };
  const leaf = kind === 'iframe' || kind === 'img' || element.localName === 'svg' || element.localName === 'textarea' ||
    element.localName === 'input' || (kind === 'textbox' && element.isContentEditable);
  if (!leaf && below.depth < 500) {
    if (element.localName === 'select') options(element, inner);
    else for (const child of childrenOf(element)) {
      if (child.nodeType === 3) { if (seen && child.data && !below.labels) inner.push(child.data); }
      else if (child.nodeType === 1) build(child, inner, below);
    }
  }
  const block = !style.display.startsWith('inline') && style.display !== 'contents';
  if (!kind && !acted) {
    if (block) into.push('\n', ...inner, '\n');
    else into.push(...inner);
    return;
  }
  const node = {
    kind: kind || 'clickable', name: kind ? name(element, kind) : '', told: states(element, kind), nodes: tidy(inner),
    number: acted ? numberOf(element) : 0, value: fold(value(element, kind)), frame: kind === 'iframe',
  };
  if (STRUCTURE.has(kind) && !node.nodes.length && !node.name) return;
  into.push(node);
};
const STRUCTURE = new Set(['article', 'banner', 'blockquote', 'caption', 'complementary', 'contentinfo', 'definition', 'figure', 'group',
  'list', 'listitem', 'main', 'navigation', 'paragraph', 'region', 'row', 'rowgroup', 'term', 'form', 'search', 'table']);
const options = (list, into) => {
  const all = [...list.options];
  const folded = list.localName === 'select' && !list.multiple && list.size <= 1 && all.length > 20;
  for (const option of folded ? all.filter((one) => one.selected) : all) {
    const told = states(option, 'option');
    into.push({ kind: 'option', name: fold(option.label), told, nodes: [], number: 0, value: '' });
  }
  if (folded) into.push({ kind: 'text', name: '', told: [], nodes: [], number: 0, value: `${all.length} options, of which the selected one is shown` });
};
// Joins what is next to each other of text.
const tidy = (nodes) => {
  const out = [];
  let text = '';
  const flush = () => {
    for (const line of text.split('\n')) { const folded = fold(line); if (folded) out.push(folded); }
    text = '';
  };
  for (const node of nodes) {
    if (typeof node === 'string') text += node === '\n' ? '\n' : node.replace(/\s+/g, ' ');
    else { flush(); out.push(node); }
  }
  flush();
  return out;
};
const quote = (text) => JSON.stringify(text);
const allText = (nodes) => nodes.every((node) => typeof node === 'string');
const render = (nodes, depth, lines, prefix, frames) => {
  const indent = '  '.repeat(depth);
  for (const node of nodes) {
    if (typeof node === 'string') { lines.push(`${indent}- text: ${node}`); continue; }
    // What only groups one thing says nothing by itself.
    const lone = node.kind === 'listitem' && node.nodes.length === 1 && typeof node.nodes[0] !== 'string';
    if (lone && !node.number && !node.name && !node.told.length) {
      render(node.nodes, depth, lines, prefix, frames);
      continue;
    }
    if ((node.kind === 'rowgroup' || node.kind === 'paragraph' || node.kind === 'group') && !node.number && !node.name && !node.told.length) {
      render(node.nodes, depth, lines, prefix, frames);
      continue;
    }
    let line = `${indent}- ${node.kind}`;
    if (node.name) line += ` ${quote(node.name)}`;
    for (const told of node.told) line += ` [${told}]`;
    if (node.number) line += ` [ref=${prefix}e${node.number}]`;
    if (node.value) line += `: ${node.value}`;
    let inner = node.nodes;
    if (node.kind === 'row') {
      const cells = inner.map((cell) => typeof cell === 'string' ? cell : !cell.number && allText(cell.nodes) ? cell.nodes.join(' ') || cell.name : null);
      if (cells.every((cell) => cell !== null)) { lines.push(`${line}: ${cells.join(' | ')}`); continue; }
    }
    // A name of the content is not said twice.
    if (node.name && NAMED_BY_CONTENT.has(node.kind) && allText(inner)) inner = [];
    if (node.name && inner.length === 1 && inner[0] === node.name) inner = [];
    if (inner.length === 1 && typeof inner[0] === 'string' && !node.value) { lines.push(`${line}: ${inner[0]}`); continue; }
    lines.push(line);
    if (node.frame) frames.push({ line: lines.length, depth: depth + 1, number: node.number });
    render(inner, depth + 1, lines, prefix, frames);
  }
};
// So much is told of one page, in characters: a page that shows more is asked about a part of it.
const TOLD = 4_000_000;
// Lines that take no more once they have so much.
const bounded = () => {
  const lines = [];
  let size = 0;
  return {
    all: lines,
    get length() { return lines.length; },
    push(line) {
      if (size > TOLD) return;
      size += line.length;
      lines.push(line.length > TOLD ? `${line.slice(0, TOLD)}… [cut]` : line);
      if (size > TOLD) lines.push('- text: "[The page shows more, which is left out: ask for an element of it.]"');
    },
  };
};
const snapshot = (prefix, number) => {
  const root = number ? byNumber(number) : document.body ?? document.documentElement;
  if (!root) return { lines: [], frames: [] };
  for (const [key, held] of elements) if (!held.deref()) elements.delete(key);
  const nodes = [];
  build(root, nodes, { acted: false, labels: false, depth: 0 });
  const lines = bounded();
  const frames = [];
  render(tidy(nodes), 0, lines, prefix, frames);
  return { lines: lines.all, frames };
};
const describe = (element) => {
  const kind = role(element) || element.localName;
  const called = name(element, kind) || fold(content(element));
  return `${kind}${called ? ` ${quote(called.length > 60 ? `${called.slice(0, 60)}…` : called)}` : ''}`;
};
