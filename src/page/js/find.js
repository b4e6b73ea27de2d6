// Finding.
const MOST = 1000;
const deep = (root, selector, into) => {
  into.push(...root.querySelectorAll(selector));
  for (const element of root.querySelectorAll('*')) if (element.shadowRoot) deep(element.shadowRoot, selector, into);
  return into;
};
const bySelector = (selector) => deep(document, selector, []);
const ACTS = 'a[href],button,input,select,textarea,summary,label,option,[role],[onclick],[tabindex],[contenteditable]';
const byText = (wanted) => {
  const needle = fold(wanted).toLowerCase();
  const found = new Set();
  const look = (element) => {
    // What frames show is looked for in them.
    if (NEVER.has(element.localName) || element.localName === 'iframe') return '';
    const style = getComputedStyle(element);
    if (gone(element, style)) return '';
    const before = found.size;
    let text = '';
    for (const child of childrenOf(element)) {
      if (child.nodeType === 3) text += shown(element, style) ? child.data : '';
      else if (child.nodeType === 1) text += look(child);
    }
    if (found.size > before) return ` ${text} `;
    const own = element.matches('input,select,textarea,[aria-label],[alt],[title],[placeholder],[aria-labelledby]') ? name(element, role(element)) : '';
    if ((fold(text).toLowerCase().includes(needle) || own.toLowerCase().includes(needle)) && visible(element)) found.add(element);
    return style.display.startsWith('inline') ? text : ` ${text} `;
  };
  if (needle && document.body) look(document.body);
  const acts = new Map();
  for (const element of found) {
    const actor = closest(element, (one) => one.matches(ACTS));
    acts.set(actor ?? element, !!actor);
  }
  const says = (element) => fold(name(element, role(element)) || content(element)).toLowerCase();
  let all = [...acts.keys()];
  const exact = all.filter((one) => says(one) === needle || fold(content(one)).toLowerCase() === needle);
  if (exact.length) all = exact;
  const actors = all.filter((one) => acts.get(one));
  if (actors.length) all = actors;
  // A label and what it labels are one.
  return all.filter((one) => !(one.localName === 'label' && one.control && all.includes(one.control)));
};
const find = (by, wanted) => {
  if (by === 'selector') {
    try { return bySelector(wanted); } catch (error) { return { bad: error.message }; }
  }
  return byText(wanted);
};
const locate = (by, wanted) => {
  const found = find(by, wanted);
  if (found.bad) return found;
  // What can be seen goes before what cannot.
  const seen = found.filter(visible);
  const all = seen.length ? seen : found;
  return { count: all.length, some: all.slice(0, 5).map((one) => ({ number: numberOf(one), what: describe(one) })) };
};
const sees = (by, wanted) => {
  const found = find(by, wanted);
  return found.bad ? found : { seen: found.slice(0, MOST).some(visible) };
};
// The elements that show frames, as numbers.
const frames = () => deep(document, 'iframe,frame', []).map(numberOf);
