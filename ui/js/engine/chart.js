// A line of values over the last minutes.
import {element, svg} from '../dom.js';

const kHeight = 150, kLeft = 44, kBottom = 22, kTop = 10, kRight = 6;

export class LineChart {
  constructor(title, colour) {
    this.title = title;
    this.colour = colour;
    this.plot = element('div', {class: 'plot'});
    this.now = element('span', {class: 'now'});
    this.element = element('figure', {class: 'chart'}, element('figcaption', {}, title, this.now), this.plot);
  }

  // One value a second, the last one being now.
  show(values) {
    this.values = values;
    this.draw();
  }

  draw() {
    const {values} = this;
    const width = Math.max(200, this.plot.clientWidth);
    const top = niceCeiling(Math.max(...values, 1));
    const x = (i) => kLeft + (i / (values.length - 1)) * (width - kLeft - kRight);
    const y = (value) => kTop + (1 - value / top) * (kHeight - kTop - kBottom);
    const line = values.map((value, i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join('');
    const ground = `L${x(values.length - 1)} ${y(0)}L${x(0)} ${y(0)}Z`;
    const recent = values.slice(-10).reduce((sum, value) => sum + value, 0) / 10;
    const summary = `${this.title}: ${Math.round(recent)} over the last 10 seconds, at most ${Math.max(...values)} in the last 5 minutes`;
    this.now.textContent = `${Math.round(recent)} lately, at most ${Math.max(...values).toLocaleString('en')}`;
    const picture = svg('svg', {width, height: kHeight, role: 'img', 'aria-label': summary},
      ...[0, 0.5, 1].map((part) => this.gridLine(width - kRight, y(part * top), part * top)),
      ...this.minuteMarks(values.length, x),
      svg('path', {d: line + ground, class: 'area'}), svg('path', {d: line, class: 'line'}));
    picture.style.color = this.colour;
    this.plot.replaceChildren(picture);
  }

  gridLine(right, y, value) {
    return svg('g', {}, svg('line', {x1: kLeft, x2: right, y1: y, y2: y, class: 'grid'}),
               svg('text', {x: kLeft - 8, y: y + 4, 'text-anchor': 'end'}, value.toLocaleString('en')));
  }

  minuteMarks(count, x) {
    const marks = [];
    for (let ago = 0; ago < count; ago += 60) {
      const at = x(count - 1 - ago);
      marks.push(svg('text', {x: at, y: kHeight - 5, 'text-anchor': ago ? 'middle' : 'end'}, ago ? `\u2212${ago / 60} min` : 'now'));
    }
    return marks;
  }
}

// The next of 2, 4, 10, 20, 40, 100, ...: halves are whole numbers.
function niceCeiling(value) {
  for (let unit = 1; ; unit *= 10) {
    for (const step of [2, 4, 10]) if (step * unit >= value) return step * unit;
  }
}
