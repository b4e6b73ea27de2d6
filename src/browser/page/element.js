(selector) => {
  const element = document.querySelector(selector);
  if (!element) return "missing";
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const seen = style.visibility !== "hidden" && style.display !== "none";
  if (!seen || box.width < 1 || box.height < 1) return "hidden";
  return {
    x: box.x + scrollX,
    y: box.y + scrollY,
    width: box.width,
    height: box.height,
  };
}
