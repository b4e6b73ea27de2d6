// A small chart of the last minutes: lines, or areas on top of each other.

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 120;
const LONGEST = 600000;
const SHORTEST = 60000;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// options: title, series [{name, of(sample)}], stacked, format(value), top(value) → the axis' end,
// and optionally now(samples) → the figure in large.
export class Chart {
  constructor(options) {
    this.options = options;
    this.svg = shape('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
    });
    for (const y of [0, 0.5, 1]) {
      const at = y * HEIGHT;
      this.svg.append(shape('line', { class: 'grid', x1: 0, x2: WIDTH, y1: at, y2: at }));
    }
    this.lines = options.series.map((_, index) => {
      const area = shape('path', { class: `area s${index}` });
      const line = shape('path', { class: `line s${index}` });
      this.svg.append(area, line);
      return { area, line };
    });
    this.large = element('p', { class: 'large' });
    this.end = element('span', { class: 'end' });
    this.from = element('span');
    this.values = options.series.map(() => element('b'));
    const legend = element('ul', { class: 'legend' });
    options.series.forEach((one, index) => {
      const swatch = element('span', { class: `swatch s${index}` });
      legend.append(element('li', {}, swatch, `${one.name} `, this.values[index]));
    });
    this.figure = element(
      'figure',
      { class: `chart${options.stacked ? ' stacked' : ''}` },
      element('figcaption', {}, element('h3', {}, options.title), this.large),
      element('div', { class: 'plot' }, this.svg, this.end),
      element('div', { class: 'axis quiet' }, this.from, element('span', {}, 'now')),
      legend,
    );
  }

  update(samples, now) {
    if (samples.length === 0) return;
    const { series, stacked, format, top, title } = this.options;
    const span = Math.min(LONGEST, Math.max(SHORTEST, now - samples[0].at_ms));
    const begin = now - span;
    const seen = samples.filter((one) => one.at_ms >= begin);
    if (seen.length === 0) return;
    const base = seen.map(() => 0);
    const rows = series.map((one) =>
      seen.map((sample, at) => {
        const low = stacked ? base[at] : 0;
        const high = low + one.of(sample);
        base[at] = Math.max(base[at], high);
        return [low, high];
      }),
    );
    const end = top(Math.max(...base));
    const x = (at) => (((seen[at].at_ms - begin) / span) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - (value / end) * HEIGHT).toFixed(1);
    rows.forEach((row, index) => {
      const upper = row.map(([, high], at) => `${x(at)},${y(high)}`);
      const lower = row.map(([low], at) => `${x(at)},${y(low)}`).reverse();
      this.lines[index].line.setAttribute('d', `M${upper.join('L')}`);
      this.lines[index].area.setAttribute('d', `M${upper.join('L')}L${lower.join('L')}Z`);
    });
    const last = seen[seen.length - 1];
    series.forEach((one, index) => {
      this.values[index].textContent = format(one.of(last));
    });
    const large = this.options.now ? this.options.now(last) : format(series[0].of(last));
    this.large.textContent = large;
    this.end.textContent = format(end);
    const minutes = Math.round(span / 60000);
    this.from.textContent = `${minutes} min ago`;
    const most = format(Math.max(...base));
    const label = `${title}, the last ${minutes} minutes: now ${large}, at most ${most}`;
    this.svg.setAttribute('aria-label', label);
  }
}
