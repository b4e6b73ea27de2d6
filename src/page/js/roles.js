// Roles, names and states (WAI-ARIA 1.2, HTML-AAM, Accessible Name Computation 1.1).
const PLAIN = {
  article: 'article', aside: 'complementary', blockquote: 'blockquote', button: 'button', caption: 'caption',
  dd: 'definition', details: 'group', dialog: 'dialog', dt: 'term', fieldset: 'group', figure: 'figure',
  hr: 'separator', iframe: 'iframe', frame: 'iframe', li: 'listitem', main: 'main', menu: 'list', meter: 'meter',
  nav: 'navigation', ol: 'list', optgroup: 'group', option: 'option', output: 'status', p: 'paragraph',
  progress: 'progressbar', search: 'search', summary: 'button', table: 'table', tbody: 'rowgroup', td: 'cell',
  textarea: 'textbox', tfoot: 'rowgroup', thead: 'rowgroup', tr: 'row', ul: 'list',
};
const INPUTS = {
  button: 'button', checkbox: 'checkbox', file: 'button', image: 'button', number: 'spinbutton', radio: 'radio',
  range: 'slider', reset: 'button', search: 'searchbox', submit: 'button', hidden: '',
};
const NAMED_BY_CONTENT = new Set(['button', 'checkbox', 'columnheader', 'heading', 'link', 'menuitem',
  'menuitemcheckbox', 'menuitemradio', 'option', 'radio', 'rowheader', 'switch', 'tab', 'tooltip', 'treeitem']);
const ACTED_ON = new Set(['button', 'checkbox', 'combobox', 'link', 'listbox', 'menuitem', 'menuitemcheckbox',
  'menuitemradio', 'option', 'radio', 'searchbox', 'slider', 'spinbutton', 'switch', 'tab', 'textbox', 'treeitem',
  'iframe', 'scrollbar']);
const role = (element) => {
  const asked = element.getAttribute('role')?.trim().split(/\s+/)[0]?.toLowerCase();
  if (asked) return asked === 'none' || asked === 'presentation' || asked === 'generic' ? '' : asked;
  const tag = element.localName;
  switch (tag) {
    case 'a': case 'area': return element.hasAttribute('href') ? 'link' : '';
    case 'input': {
      const kind = INPUTS[element.type];
      return kind ?? (element.hasAttribute('list') ? 'combobox' : 'textbox');
    }
    case 'select': return element.multiple || element.size > 1 ? 'listbox' : 'combobox';
    case 'h1': case 'h2': case 'h3': case 'h4': case 'h5': case 'h6': return 'heading';
    case 'img': return element.getAttribute('alt') === '' ? '' : 'img';
    case 'svg': return element.hasAttribute('aria-label') || element.querySelector(':scope > title') ? 'img' : '';
    case 'th': return element.scope === 'row' || element.scope === 'rowgroup' ? 'rowheader' : 'columnheader';
    case 'header': return closest(element.parentElement, sectioning) ? '' : 'banner';
    case 'footer': return closest(element.parentElement, sectioning) ? '' : 'contentinfo';
    case 'section': return named(element) ? 'region' : '';
    case 'form': return named(element) ? 'form' : '';
  }
  if (element.isContentEditable && !element.parentElement?.isContentEditable) return 'textbox';
  return PLAIN[tag] ?? '';
};
const sectioning = (element) => ['article', 'aside', 'main', 'nav', 'section'].includes(element.localName);
const named = (element) => element.hasAttribute('aria-label') || element.hasAttribute('aria-labelledby') || element.title;
// The text of an element's content, as a name is made of it.
const content = (node, depth = 0) => {
  if (node.nodeType === 3) return node.data;
  if (node.nodeType !== 1 || depth > 64 || NEVER.has(node.localName)) return '';
  const style = getComputedStyle(node);
  if (gone(node, style) || node.getAttribute('aria-hidden') === 'true') return '';
  if (depth) {
    const own = fold(node.getAttribute('aria-label') ?? '') || (node.localName === 'img' && node.alt);
    if (own) return own;
    if (node.localName === 'svg') return node.querySelector(':scope > title')?.textContent ?? '';
    if (node.localName === 'input') return /^(button|submit|reset)$/.test(node.type) ? node.value : '';
    if (node.localName === 'select' || node.localName === 'textarea') return '';
  }
  let text = '';
  for (const child of childrenOf(node)) text += content(child, depth + 1);
  return style.display.startsWith('inline') || style.display === 'contents' ? text : ` ${text} `;
};
const name = (element, kind) => {
  const by = element.getAttribute('aria-labelledby');
  if (by) {
    const root = element.getRootNode();
    const text = fold(by.split(/\s+/).map((id) => root.getElementById?.(id)).filter(Boolean).map((one) => content(one)).join(' '));
    if (text) return text;
  }
  const label = fold(element.getAttribute('aria-label') ?? '');
  if (label) return label;
  const tag = element.localName;
  if (element.labels?.length) {
    const text = fold([...element.labels].map((one) => content(one)).join(' '));
    if (text) return text;
  }
  if (tag === 'input' && /^(button|submit|reset|image)$/.test(element.type)) {
    const text = fold(element.value || element.alt || '');
    return text || fold(element.title) || { submit: 'Submit', reset: 'Reset' }[element.type] || '';
  }
  const child = { fieldset: 'legend', figure: 'figcaption', table: 'caption', details: '' }[tag];
  const caption = child && element.querySelector(`:scope > ${child}`);
  if (caption) return fold(content(caption));
  if (tag === 'img' || tag === 'area') return fold(element.alt || element.title || '');
  if (tag === 'svg') return fold(element.querySelector(':scope > title')?.textContent ?? '');
  if (tag === 'optgroup') return fold(element.label);
  if (NAMED_BY_CONTENT.has(kind)) {
    const text = fold(tag === 'option' ? element.label : content(element));
    if (text) return text;
  }
  return fold(element.title || element.getAttribute('placeholder') || '');
};
const disabled = (element) =>
  element.matches(':disabled') || !!closest(element, (one) => one.getAttribute('aria-disabled') === 'true');
const states = (element, kind) => {
  const aria = (what) => element.getAttribute(`aria-${what}`);
  const told = [];
  const flag = (what, value) => {
    if (value === true || value === 'true') told.push(what);
    else if (value === 'mixed') told.push(`${what}=mixed`);
  };
  if (kind === 'heading') told.push(`level=${/^h[1-6]$/.test(element.localName) ? element.localName[1] : aria('level') ?? 2}`);
  if (element.localName === 'input' && /^(checkbox|radio)$/.test(element.type)) flag('checked', element.indeterminate ? 'mixed' : element.checked);
  else flag('checked', aria('checked'));
  if (ACTED_ON.has(kind) && disabled(element)) told.push('disabled');
  const open = element.localName === 'summary' ? String(element.parentElement?.open) : aria('expanded');
  if (open === 'true') told.push('expanded');
  else if (open === 'false') told.push('collapsed');
  flag('pressed', aria('pressed'));
  flag('selected', kind === 'option' && element.localName === 'option' ? element.selected : aria('selected'));
  if (aria('current') && aria('current') !== 'false') told.push('current');
  if (element.required || aria('required') === 'true') told.push('required');
  if (aria('invalid') === 'true' || (element.willValidate && element.matches(':user-invalid'))) told.push('invalid');
  if (element.readOnly || aria('readonly') === 'true') told.push('readonly');
  if (element === element.getRootNode().activeElement && element !== document.body) told.push('focused');
  return told;
};
const value = (element, kind) => {
  if (element.localName === 'input') {
    if (element.type === 'password') return element.value ? '•'.repeat(Math.min(element.value.length, 12)) : '';
    if (element.type === 'file') return [...element.files].map((file) => file.name).join(', ');
    if (/^(button|submit|reset|image|checkbox|radio)$/.test(element.type)) return '';
    return element.value;
  }
  if (element.localName === 'textarea') return element.value;
  if (element.localName === 'progress' || element.localName === 'meter') return String(element.value);
  if (kind === 'slider' || kind === 'spinbutton' || kind === 'progressbar') return element.getAttribute('aria-valuetext') ?? element.getAttribute('aria-valuenow') ?? '';
  if (kind === 'textbox' && element.isContentEditable) return element.innerText;
  return '';
};
const clickable = (element, style) =>
  element.hasAttribute('onclick') || (element.hasAttribute('tabindex') && element.tabIndex >= 0) ||
  (style.cursor === 'pointer' && (!element.parentElement || getComputedStyle(element.parentElement).cursor !== 'pointer'));
