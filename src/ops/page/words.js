// Figures as people read them.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${count < 10 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
}

export function micros(us) {
  if (us < 1000) return `${(us / 1000).toFixed(1)} ms`;
  if (us < 1e6) return `${us < 10000 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`;
  return `${(us / 1e6).toFixed(us < 1e7 ? 1 : 0)} s`;
}

export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

export function rate(perSecond) {
  if (perSecond === 0) return '0/s';
  return perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${Math.round(perSecond)}/s`;
}

export function count(number) {
  return number.toLocaleString('en');
}

// The next round number above: an axis ends on one.
export function roundUp(number, least) {
  const wanted = Math.max(number, least);
  const ten = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 3, 4, 5, 6, 8, 10].find((one) => one * ten >= wanted * 0.9999);
  return step * ten;
}
