// Acting.
const frame = () => new Promise((done) => {
  const late = setTimeout(done, 100);
  requestAnimationFrame(() => { clearTimeout(late); done(); });
});
const control = (element) => element.localName === 'label' && element.control ? element.control : element;
const hit = (x, y) => {
  let found = document.elementFromPoint(x, y);
  while (found?.shadowRoot) {
    const inner = found.shadowRoot.elementFromPoint(x, y);
    if (!inner || inner === found) break;
    found = inner;
  }
  return found;
};
const pointOf = (element) => {
  const boxes = [...element.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
  for (const box of boxes.length ? boxes : [element.getBoundingClientRect()]) {
    const left = Math.max(box.left, 0), right = Math.min(box.right, innerWidth);
    const top = Math.max(box.top, 0), bottom = Math.min(box.bottom, innerHeight);
    if (right > left && bottom > top) return { x: (left + right) / 2, y: (top + bottom) / 2 };
  }
  return null;
};
const lands = (element, x, y) => {
  const found = hit(x, y);
  if (!found) return { why: 'out_of_view' };
  if (within(found, element)) return null;
  const label = closest(found, (one) => one.localName === 'label');
  if (label && label.control === element) return null;
  // What is only drawn for a control, such as a styled box around a hidden checkbox.
  if (element.labels && [...element.labels].some((one) => within(found, one))) return null;
  return { why: 'covered', by: describe(found) };
};
const ready = async (number, needs) => {
  const element = byNumber(number);
  if (!element) return { why: 'detached' };
  if (needs.visible && !visible(element)) return { why: 'hidden' };
  if (needs.enabled && disabled(control(element))) return { why: 'disabled' };
  if (needs.editable) {
    const field = control(element);
    if (field.readOnly || field.getAttribute('aria-readonly') === 'true') return { why: 'read_only' };
  }
  if (!needs.visible) return { x: 0, y: 0 };
  element.scrollIntoViewIfNeeded?.(true);
  const before = element.getBoundingClientRect();
  await frame();
  const after = element.getBoundingClientRect();
  if (before.x !== after.x || before.y !== after.y || before.width !== after.width || before.height !== after.height) return { why: 'moving' };
  const point = pointOf(element);
  if (!point) return { why: 'out_of_view' };
  return (needs.hit && lands(element, point.x, point.y)) || point;
};
// Whether a point of a frame's content is where this frame element receives events; where that is.
const through = (number, x, y) => {
  const element = byNumber(number);
  if (!element) return { why: 'detached' };
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  const px = (text) => parseFloat(text) || 0;
  const at = { x: box.left + element.clientLeft + px(style.paddingLeft) + x, y: box.top + element.clientTop + px(style.paddingTop) + y };
  return lands(element, at.x, at.y) ?? at;
};
const EDGED = /^(color|date|time|datetime-local|month|week|range)$/;
const told = (element) => {
  element.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
  element.dispatchEvent(new Event('change', { bubbles: true }));
};
// Begins to fill: what is left to do is to type, to click, or nothing.
const fill = (number, text) => {
  const found = byNumber(number);
  if (!found) return { why: 'detached' };
  const element = control(found);
  const kind = role(element);
  const box = element.localName === 'input' && /^(checkbox|radio)$/.test(element.type);
  if (box || kind === 'checkbox' || kind === 'switch' || kind === 'radio' || kind === 'menuitemcheckbox') {
    if (text !== 'true' && text !== 'false') return { why: 'wrong_kind', what: `a ${kind} takes "true" or "false"` };
    const is = box ? element.checked : element.getAttribute('aria-checked') === 'true';
    return is === (text === 'true') ? { done: true } : { click: numberOf(element) };
  }
  if (element.localName === 'select') return { why: 'wrong_kind', what: 'it is a list: select an option' };
  if (element.localName === 'input') {
    if (/^(button|submit|reset|image|file|hidden)$/.test(element.type)) return { why: 'wrong_kind', what: `an input of type ${element.type} takes no text` };
    if (EDGED.test(element.type)) {
      element.focus();
      // Past setters that a framework put on the element.
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(element, text);
      if (element.type !== 'range' && element.value.toLowerCase() !== text.toLowerCase()) return { why: 'wrong_kind', what: `${quote(text)} is no value of an input of type ${element.type}` };
      told(element);
      return { done: true };
    }
    if (element.type === 'number' && text !== '' && !Number.isFinite(Number(text))) return { why: 'wrong_kind', what: `${quote(text)} is no number` };
    element.focus();
    element.select();
    return { type: true };
  }
  if (element.localName === 'textarea') {
    element.focus();
    element.select();
    return { type: true };
  }
  if (element.isContentEditable) {
    element.focus();
    const all = document.createRange();
    all.selectNodeContents(element);
    const selection = element.getRootNode().getSelection?.() ?? getSelection();
    selection.removeAllRanges();
    selection.addRange(all);
    return { type: true };
  }
  return { why: 'wrong_kind', what: `${describe(element)} takes no text` };
};
const focus = (number) => {
  const found = byNumber(number);
  if (!found) return { why: 'detached' };
  const element = control(found);
  element.focus();
  // Behind what is there.
  try { element.setSelectionRange?.(element.value.length, element.value.length); } catch { /* of inputs that have no caret */ }
  return {};
};
const select = (number, wanted) => {
  const found = byNumber(number);
  if (!found) return { why: 'detached' };
  const element = control(found);
  if (element.localName !== 'select') return { why: 'wrong_kind', what: `${describe(element)} is no list of options: click it` };
  if (wanted.length > 1 && !element.multiple) return { why: 'wrong_kind', what: 'the list takes one option' };
  const all = [...element.options];
  const chosen = wanted.map((one) => all.find((option) => option.value === one) ?? all.find((option) => fold(option.label) === fold(one)));
  const at = chosen.indexOf(undefined);
  if (at >= 0) return { missing: wanted[at], has: all.slice(0, 20).map((one) => fold(one.label)) };
  if (chosen.some((option) => option.disabled || option.parentElement?.disabled)) return { why: 'disabled' };
  for (const option of all) option.selected = chosen.includes(option);
  told(element);
  return {};
};
// The file input that is meant, as a number.
const fileInput = (number) => {
  const found = byNumber(number);
  if (!found) return { why: 'detached' };
  const is = (one) => one?.localName === 'input' && one.type === 'file';
  const input = [control(found), closest(found, (one) => one.localName === 'label')?.control, found.querySelector?.('input[type=file]')].find(is);
  if (!input) return { why: 'wrong_kind', what: `${describe(found)} takes no files` };
  return { number: numberOf(input), many: input.multiple, disabled: input.disabled };
};
const scrollBy = (number, x, y) => {
  const element = number ? byNumber(number) : document.scrollingElement;
  if (!element) return { why: 'detached' };
  if (number) element.scrollIntoViewIfNeeded?.(true);
  if (x || y) (number ? closest(element, (one) => one.scrollHeight > one.clientHeight || one.scrollWidth > one.clientWidth) ?? element : window).scrollBy({ left: x, top: y, behavior: 'instant' });
  return frame().then(() => ({}));
};
const box = (number) => {
  const element = byNumber(number);
  if (!element) return { why: 'detached' };
  if (!visible(element)) return { why: 'hidden' };
  const at = element.getBoundingClientRect();
  return { x: at.left + scrollX, y: at.top + scrollY, width: at.width, height: at.height };
};

globalThis.berth = {
  byNumber, frames, snapshot, locate, sees, ready, through, fill, focus, select, fileInput, scrollBy, box, frame,
  content: (most) => ({ ...readDocument(true, true, false, most), url: document.URL }),
  scrolled: () => ({ x: scrollX, y: scrollY }),
  describe: (number) => { const one = byNumber(number); return one ? describe(one) : ''; },
};
