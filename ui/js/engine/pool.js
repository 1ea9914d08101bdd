// The block pool as a picture: one cell a block, or, when there are thousands, one for several.
import {element} from '../dom.js';

const kMostCells = 2400;
const kGap = 2;

export class PoolPicture {
  constructor(owners) {
    this.owners = owners;
    this.canvas = element('canvas', {class: 'pool', role: 'img', 'aria-label': 'The block pool'});
    this.legend = element('ul', {class: 'legend', 'aria-label': 'Legend'});
    this.detail = element('p', {class: 'quiet detail'});
    this.element = element('div', {class: 'pool-box'}, this.canvas, this.detail, this.legend);
    this.canvas.addEventListener('pointermove', (event) => this.point(event));
    this.canvas.addEventListener('pointerleave', () => this.describe());
  }

  // `state` as GET /engine gives it: pool.map has '.', 'c', 'u' or 's' for each block.
  show({pool, running}) {
    this.map = pool.map;
    this.blockTokens = pool.block_tokens;
    this.total = pool.blocks;
    this.holders = Array.from({length: pool.map.length}, () => []);
    for (const sequence of running) {
      for (const block of sequence.blocks) this.holders[block]?.push(sequence.id);
    }
    this.count = {free: 0, cached: 0, used: 0, shared: 0};
    const kinds = {'.': 'free', c: 'cached', u: 'used', s: 'shared'};
    for (const letter of pool.map) ++this.count[kinds[letter] ?? 'free'];
    this.blocksPerCell = Math.max(1, Math.ceil(pool.map.length / kMostCells));
    this.showLegend(running);
    this.draw();
    this.describe();
  }

  showLegend(running) {
    const entry = (kind, text) => element('li', {}, element('span', {class: `swatch ${kind}`}), text);
    const shown = running.slice(0, 8).map((sequence) => entry(this.owners.className(sequence.id), `#${sequence.id}`));
    if (running.length > 8) shown.push(element('li', {}, `and ${running.length - 8} more, colours repeat`));
    if (this.count.used + this.count.shared > 0 && running.length === 0) shown.push(entry('owner-0', 'used'));
    this.legend.replaceChildren(...shown, entry('shared', 'shared by several'), entry('cached', 'kept, not in use'),
                                entry('free', 'free'));
  }

  summary() {
    const {free, cached, used, shared} = this.count;
    return `${this.total} blocks of ${this.blockTokens} tokens: ${used + shared} in use, ${shared} of them shared; ` +
           `${cached} kept for their prefix; ${free} free.`;
  }

  describe() {
    if (!this.map) return;  // the pointer came and went before the first answer
    const each = this.blocksPerCell > 1 ? ` A cell is ${this.blocksPerCell} blocks.` : '';
    const rest = this.map.length < this.total ? ` The first ${this.map.length} are shown.` : '';
    this.detail.textContent = this.summary() + each + rest;
    this.canvas.setAttribute('aria-label', `The block pool. ${this.summary()}`);
  }

  // Cells fill the width, so that few blocks are large and many are small.
  layout() {
    const width = this.canvas.parentElement.clientWidth;
    const cells = Math.ceil(this.map.length / this.blocksPerCell);
    const wanted = Math.sqrt((width * Math.max(120, Math.min(260, width * 0.4))) / Math.max(1, cells));
    const pitch = Math.max(7, Math.min(26, Math.floor(wanted)));
    const columns = Math.max(1, Math.floor((width + kGap) / pitch));
    return {width, cells, pitch, columns, rows: Math.ceil(cells / columns)};
  }

  draw() {
    if (!this.map || !this.canvas.parentElement.clientWidth) return;
    const layout = this.layout();
    this.drawn = layout;
    const scale = devicePixelRatio || 1;
    const height = layout.rows * layout.pitch;
    this.canvas.width = Math.round(layout.width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext('2d');
    context.scale(scale, scale);
    const paint = new Paint(this.canvas);
    for (let cell = 0; cell < layout.cells; ++cell) {
      const x = (cell % layout.columns) * layout.pitch, y = Math.floor(cell / layout.columns) * layout.pitch;
      this.drawCell(context, paint, cell, x, y, layout.pitch - kGap);
    }
  }

  // The blocks of a cell side by side.
  drawCell(context, paint, cell, x, y, size) {
    const first = cell * this.blocksPerCell;
    const last = Math.min(first + this.blocksPerCell, this.map.length);
    context.save();
    context.beginPath();
    context.roundRect(x, y, size, size, Math.min(3, size / 4));
    context.clip();
    const step = size / (last - first);
    for (let block = first; block < last; ++block) {
      const left = x + (block - first) * step;
      context.fillStyle = paint.colour(this.kindOf(block));
      context.fillRect(left, y, step + 0.5, size);
      if (this.map[block] === 's') this.markShared(context, paint, left, y, step, size);
    }
    context.restore();
  }

  // A light corner: several hold it.
  markShared(context, paint, x, y, width, height) {
    const edge = Math.min(width, height) * 0.62;
    context.fillStyle = paint.colour('mark');
    context.beginPath();
    context.moveTo(x + width - edge, y);
    context.lineTo(x + width, y);
    context.lineTo(x + width, y + edge);
    context.fill();
  }

  kindOf(block) {
    if (this.map[block] === '.') return 'free';
    if (this.map[block] === 'c') return 'cached';
    const holder = this.holders[block][0];
    return holder === undefined ? 'owner-0' : this.owners.className(holder);
  }

  point(event) {
    if (!this.drawn) return;
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.drawn.pitch);
    const row = Math.floor((event.clientY - box.top) / this.drawn.pitch);
    const block = (row * this.drawn.columns + column) * this.blocksPerCell;
    if (column >= this.drawn.columns || block < 0 || block >= this.map.length) return;
    const holders = this.holders[block].map((id) => `#${id}`).join(', ');
    const words = {'.': 'free', c: 'kept for its prefix, not in use', u: `used by ${holders || 'a sequence'}`,
                   s: `shared by ${holders || 'several sequences'}`};
    this.detail.textContent = `Block ${block}: ${words[this.map[block]] ?? 'unknown'}.`;
  }
}

// The colours of the style sheet, resolved for a canvas.
class Paint {
  constructor(canvas) {
    this.probe = element('span', {hidden: true});
    this.host = canvas.parentElement;
    this.colours = new Map();
  }

  colour(kind) {
    if (!this.colours.has(kind)) {
      this.probe.className = `swatch ${kind}`;
      this.host.append(this.probe);
      this.colours.set(kind, getComputedStyle(this.probe).backgroundColor);
      this.probe.remove();
    }
    return this.colours.get(kind);
  }
}
