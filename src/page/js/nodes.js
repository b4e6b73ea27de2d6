// The elements of a document and their numbers, and the tree as it is shown.
const numbers = new WeakMap();
const elements = new Map();
let last = 0;
const numberOf = (element) => {
  let number = numbers.get(element);
  if (!number) {
    numbers.set(element, (number = ++last));
    elements.set(number, new WeakRef(element));
  }
  return number;
};
const byNumber = (number) => {
  const element = elements.get(number)?.deref();
  if (!element) elements.delete(number);
  return element?.isConnected && element.ownerDocument === document ? element : null;
};

// ---- The tree as it is shown: shadow trees in place of their hosts' children. ----
const fold = (text) => text.replace(/\s+/g, ' ').trim();
const childrenOf = (node) => {
  if (node.shadowRoot) return node.shadowRoot.childNodes;
  if (node.localName === 'slot') {
    const assigned = node.assignedNodes({ flatten: true });
    if (assigned.length) return assigned;
  }
  return node.childNodes;
};
const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
const within = (inner, outer) => {
  for (let node = inner; node; node = parentOf(node)) if (node === outer) return true;
  return false;
};
const closest = (element, is) => {
  for (let node = element; node; node = parentOf(node)) if (is(node)) return node;
  return null;
};
const NEVER = new Set(['script', 'style', 'noscript', 'template', 'head', 'meta', 'link', 'title', 'source', 'track']);
const shown = (element, style) => style.visibility === 'visible' || style.display === 'contents';
const gone = (element, style) =>
  style.display === 'none' || style.contentVisibility === 'hidden' ||
  (element.parentElement?.localName === 'details' && !element.parentElement.open && element.localName !== 'summary');
const visible = (element) => {
  if (element.localName === 'option' || element.localName === 'optgroup') {
    const list = element.closest('select');
    return !!list && visible(list);
  }
  const style = getComputedStyle(element);
  if (style.display === 'contents') return [...childrenOf(element)].some((one) =>
    one.nodeType === 1 ? visible(one) : one.nodeType === 3 && fold(one.data));
  if (!shown(element, style) || !element.checkVisibility()) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0;
};
